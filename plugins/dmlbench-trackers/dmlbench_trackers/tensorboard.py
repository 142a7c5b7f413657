"""TensorBoard: a folder of event files for each trial."""

from __future__ import annotations

import json
import os
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from dmlbench.hookspecs import TrialEvent
from dmlbench_trackers.events import epoch_scalars, settings, test_scalars, trial_key


class Tracker:
    """Keeps one writer for each trial that is training."""

    def __init__(self) -> None:
        self.folder = Path(os.environ.get("DMLBENCH_TENSORBOARD_DIR", "runs"))
        self.writers: dict[str, SummaryWriter] = {}
        self.epochs: dict[str, int] = {}

    def take(self, event: TrialEvent) -> None:
        key = trial_key(event)
        if event.kind == "features_progress":
            return
        if event.kind == "trial_started":
            # What a run that was killed wrote after its last checkpoint is superseded.
            self._open(event, purge_step=event.values["epoch"] + 1)
            return
        writer = self.writers.get(key) or self._open(event)
        if event.kind == "epoch_finished":
            self.epochs[key] = epoch = event.values["epoch"]
            for name, value in epoch_scalars(event):
                writer.add_scalar(name, value, epoch)
            writer.flush()
            return
        if event.kind == "trial_finished":
            for name, value in test_scalars(event):
                writer.add_scalar(name, value, self.epochs.get(key, 0))
        else:
            writer.add_text("failed", event.values["reason"], self.epochs.get(key, 0))
        writer.close()
        self.writers.pop(key, None)
        self.epochs.pop(key, None)

    def _open(self, event: TrialEvent, purge_step: int | None = None) -> SummaryWriter:
        key = trial_key(event)
        folder = self.folder / event.entry_id / key.removeprefix(f"{event.entry_id}-")
        writer = SummaryWriter(str(folder), purge_step=purge_step)
        text = json.dumps(settings(event), indent=1, sort_keys=True)
        writer.add_text("configuration", f"```\n{text}\n```")
        writer.flush()
        self.writers[key] = writer
        return writer
