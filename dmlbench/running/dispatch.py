"""Tells those who follow a run what happens to its trials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dmlbench.hookspecs import TrialEvent
from dmlbench.plan.labels import label
from dmlbench.plugins.guard import own_faults
from dmlbench.plugins.registry import Registry
from dmlbench.running.planning import PlannedTrial


class EventDispatcher:
    """Passes events on: to the one who watches the run first, then to the plugins that listen.

    warnings: what listeners did wrong, each once. A listener that breaks must not cost a trial,
        whatever it raises; one that hangs is stopped, where an alarm can be set.
    """

    def __init__(self, registry: Registry, watch: Callable[[TrialEvent], None] | None) -> None:
        self.registry, self.watch = registry, watch
        self.warnings: list[str] = []

    def emit(self, trial: PlannedTrial, kind: str, values: Mapping[str, Any]) -> None:
        """Tell everybody of one event. Ctrl-C, and what `watch` raises to end a program, pass."""
        event = TrialEvent(
            kind=kind,
            entry_id=trial.configuration.entry_id,
            configuration=label(trial.configuration, self.registry),
            split=trial.split,
            seed=trial.seed,
            values=values,
            settings=trial.configuration.to_json(),
        )
        if self.watch is not None:
            try:
                self.watch(event)
            except Exception as error:
                self._warn("The function that watches the run", kind, error)
        for listener in self.registry.listeners:
            try:
                with own_faults():
                    listener.notify(event)
            except (Exception, SystemExit) as error:
                self._warn(f"The listener of {listener.distribution}", kind, error)

    def _warn(self, who: str, kind: str, error: BaseException) -> None:
        what = " ".join(str(error).split())
        warning = f"{who} failed on {kind}: {type(error).__name__}: {what}".rstrip(": ") + "."
        if warning not in self.warnings:
            self.warnings.append(warning)
