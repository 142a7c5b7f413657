"""Weights & Biases: a run for each trial, online or offline."""

from __future__ import annotations

import os

import wandb

from dmlbench.hookspecs import TrialEvent
from dmlbench_trackers.events import epoch_scalars, settings, test_scalars, trial_key, trial_name


class Tracker:
    """Keeps one run for each trial that is training."""

    def __init__(self) -> None:
        self.project = os.environ.get("WANDB_PROJECT") or "dmlbench"
        self.runs: dict[str, wandb.Run] = {}

    def take(self, event: TrialEvent) -> None:
        if event.kind == "features_progress":
            return
        key = trial_key(event)
        run = self.runs.get(key) or self._open(event)
        if event.kind == "epoch_finished":
            run.log({"epoch": event.values["epoch"], **dict(epoch_scalars(event))})
        elif event.kind == "trial_finished":
            run.summary.update(dict(test_scalars(event)))
            self._close(key, 0)
        elif event.kind == "trial_failed":
            run.summary["reason"] = event.values["reason"]
            self._close(key, 1)

    def _open(self, event: TrialEvent) -> wandb.Run:
        key = trial_key(event)
        run = wandb.init(
            project=self.project,
            group=event.entry_id,
            name=trial_name(event),
            id=key,
            resume="allow",
            config=settings(event),
            reinit="create_new",
            settings=wandb.Settings(console="off", silent=True),
        )
        run.define_metric("epoch", hidden=True)
        run.define_metric("*", step_metric="epoch")
        self.runs[key] = run
        return run

    def _close(self, key: str, code: int) -> None:
        self.runs.pop(key).finish(exit_code=code)
