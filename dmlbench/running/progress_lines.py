"""Progress without a terminal: plain lines, for logs of SLURM, nohup and the like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.trial import trial_title
from dmlbench.running.run_view import RunView, place, stage

#: Seconds between two lines that only say how far trials have come.
PAUSE = 30.0


class ProgressLines:
    """A line for each trial that ends and, in between, one every `PAUSE` seconds at most.

    every_epoch: a line for every finished epoch instead.
    """

    def __init__(
        self,
        view: RunView,
        every_epoch: bool = False,
        write: Callable[[str], None] = lambda line: click.echo(line, err=True),
    ) -> None:
        self.view, self.every_epoch, self.write = view, every_epoch, write
        self.last = view.clock()

    def take(self, event: TrialEvent) -> None:
        """Note an event, and write a line if one is due."""
        self.view.take(event)
        name = f"{event.configuration}, {trial_title(event.split, event.seed)}"
        if event.kind in ("trial_finished", "trial_failed"):
            self._write(f"{self.view.summary()}; {name} {_outcome(event)}")
        elif event.kind in ("epoch_finished", "refit_epoch_finished") and self.every_epoch:
            again = event.kind != "epoch_finished"
            key = event.entry_id, event.split, event.seed
            epochs = self.view.running[key]["refit"][1] if again else self.view.epochs
            what = "on all classes, " if again else ""
            self._write(f"{name}: {what}{epoch_line(event.values, epochs)}")
        elif self.view.clock() - self.last >= PAUSE:
            self._write(f"{self.view.summary()}; {self._at_work()}")

    def _at_work(self) -> str:
        trials = [
            f"{trial['label']}, {trial_title(split, seed)}: {self._stage(trial)}"
            for (_, split, seed), trial in self.view.running.items()
        ]
        return "; ".join(trials)

    def _stage(self, trial: dict[str, Any]) -> str:
        text = stage(trial, self.view.epochs)
        on = f" on {place(trial)}" if place(trial) else ""
        return (text if text.startswith("features") else f"epoch {text}") + on

    def _write(self, line: str) -> None:
        self.last = self.view.clock()
        self.write(line)


def epoch_line(values: Mapping[str, Any], epochs: int) -> str:
    """What an epoch gave: ``epoch 3/25, objective 0.1234, validation MAP@R 31.2 %``.

    values: of its event.
    """
    text = f"epoch {values['epoch']}/{epochs}, objective {values['objective']:.4f}"
    score = values.get("validation_map_at_r")
    return text if score is None else f"{text}, validation MAP@R {100 * score:.1f} %"


def _outcome(event: TrialEvent) -> str:
    if event.kind == "trial_failed":
        return f"failed: {event.values['reason']}"
    return f"finished: MAP@R {100 * event.values['metrics']['map_at_r']:.1f} %"
