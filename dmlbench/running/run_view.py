"""How far a run has come: in numbers, in words, and as a table for a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dmlbench.hookspecs import TrialEvent

if TYPE_CHECKING:
    from dmlbench.running.planning import Plan


class RunView:
    """The state of a run as a table: a line for each trial at work, one for the whole."""

    def __init__(
        self, plan: Plan, retry_failed: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.total = len(plan.trials)
        self.pending = len(list(plan.pending(retry_failed)))
        first = plan.configurations[0]
        self.epochs = first.recipe.epochs
        # A second training has at most as many epochs, and how many shows after the first.
        self.most_epochs = self.epochs * (2 if first.protocol.refit else 1)
        self.names = {c.entry_id: [loss.name for loss in c.losses] for c in plan.configurations}
        self.running: dict[tuple[str, int, int], dict[str, Any]] = {}
        self.splits = any(trial.split for trial in plan.trials)
        self.finished = self.failed = 0
        self.epochs_done = 0
        self.clock = clock
        self.started: float | None = None

    def take(self, event: TrialEvent) -> None:
        """Note an event."""
        key = (event.entry_id, event.split, event.seed)
        if event.kind == "trial_started":
            if self.started is None:
                self.started = self.clock()
            epoch = event.values["epoch"]
            self.running[key] = {"label": event.configuration, "epoch": epoch, "from": epoch}
            self.running[key]["place"] = event.values.get("place", "")
        elif event.kind == "refit_started":
            trial = self.running.setdefault(key, {"label": event.configuration, "epoch": 0})
            trial["refit"] = event.values["epoch"], event.values["epochs"]
        elif event.kind == "refit_epoch_finished":
            self.epochs_done += 1
            trial = self.running[key]
            trial |= {name: event.values[name] for name in ("objective", "weights")}
            trial["refit"] = event.values["epoch"], trial["refit"][1]
        elif event.kind == "features_progress":
            self.running.setdefault(key, {"label": event.configuration, "epoch": 0})
            self.running[key] |= {"features": event.values}
            self.running[key]["place"] = event.values.get("place", "")
        elif event.kind == "epoch_finished":
            self.epochs_done += 1
            self.running.setdefault(key, {"label": event.configuration}).update(event.values)
        else:
            self.running.pop(key, None)
            self.finished += event.kind == "trial_finished"
            self.failed += event.kind == "trial_failed"

    def seconds_left(self) -> float | None:
        """Estimated from the epochs done so far; None before the first."""
        if self.started is None or not self.epochs_done:
            return None
        skipped = sum(trial.get("from", 0) for trial in self.running.values())
        ended = self.finished + self.failed
        of_running = sum(
            trial["epoch"] - trial.get("from", 0) + trial.get("refit", (0, 0))[0]
            for trial in self.running.values()
        )
        left = (self.pending - ended) * self.most_epochs - of_running - skipped
        return max(0, left) * (self.clock() - self.started) / self.epochs_done

    def fraction_done(self) -> float:
        """Which part of all trials is done, those at work by their epochs."""
        of_running = sum(
            min(1.0, (trial["epoch"] + trial.get("refit", (0, 0))[0]) / self.most_epochs)
            for trial in self.running.values()
        )
        done = self.total - self.pending + self.finished + self.failed
        return min(1.0, (done + of_running) / self.total) if self.total else 1.0

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        places = any(place(trial) for trial in self.running.values())
        columns = ("Trial", "Seed", "Epoch", "Loss", "Val MAP@R", "Weights", *["Place"] * places)
        for index, column in enumerate(columns):
            left = index in (0, 5, 6)
            table.add_column(column, justify="left" if left else "right", no_wrap=True)
        for (entry_id, split, seed), trial in self.running.items():
            value, loss = trial.get("validation_map_at_r"), trial.get("objective")
            table.add_row(
                Text(trial["label"]),
                f"{seed}, split {split}" if self.splits else str(seed),
                stage(trial, self.epochs),
                "" if loss is None else f"{loss:.4f}",
                "" if value is None else f"{100 * value:.1f} %",
                Text(self._weights(entry_id, trial.get("weights"))),
                *[Text(place(trial))] * places,
            )
        return Group(table, Text(self.summary()))

    def _weights(self, entry_id: str, weights: list[float] | None) -> str:
        if weights is None or len(weights) < 2:
            return ""
        pairs = zip(self.names[entry_id], weights, strict=True)
        return ", ".join(f"{name} {weight:.2f}" for name, weight in pairs)

    def summary(self) -> str:
        """How many trials are done, and how long the others may take."""
        done = self.total - self.pending + self.finished + self.failed
        text = f"{done} of {self.total} trials done"
        if self.failed:
            text += f", {self.failed} failed"
        if done >= self.total:
            return text
        left = self.seconds_left()
        if left is None:
            return f"{text}; getting ready" if not self.running else text
        minutes, seconds = divmod(round(left), 60)
        return f"{text}, about {minutes}:{seconds:02d} left"


def place(trial: dict[str, Any]) -> str:
    """Where a trial runs; "" where that goes without saying."""
    where = trial.get("place", "")
    return "" if where == "cpu" else where


def stage(trial: dict[str, Any], epochs: int) -> str:
    """The epoch, or how far the pass over the images has come for a frozen backbone."""
    features = trial.get("features")
    if features is None or features.get("images_done") == features.get("images", 0):
        if "refit" in trial:
            return f"{trial['refit'][0]}/{trial['refit'][1]} on all classes"
        return f"{trial['epoch']}/{epochs}"
    if features.get("waiting"):
        return "features: another trial's"
    return f"features {features['images_done']}/{features['images']}"
