"""Carries out a plan: trials through an executor, entries as soon as their trials are there.

One failing trial never stops the others; whatever was finished before an interruption is kept.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from pydantic import ValidationError

from dmlbench.errors import DmlbenchError
from dmlbench.files import require_writable
from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.plan.config import Configuration
from dmlbench.plan.labels import label
from dmlbench.plugins.registry import Registry
from dmlbench.running.assemble import Origin
from dmlbench.running.dispatch import EventDispatcher
from dmlbench.running.entries import update_entry
from dmlbench.running.executors.events import Event, Executor
from dmlbench.running.executors.job import TRAINED
from dmlbench.running.jobs import (
    NO_RESULT,
    Resources,
    TrialJobs,
    configuration_message,
    prepare,
    still_message,
)
from dmlbench.running.planning import Plan, PlannedTrial
from dmlbench.statistics.intervals import Key
from dmlbench.training.trial_folder import TRIALS, make_folder

_log = logging.getLogger(__name__)
_UNNAMED = Origin()


@dataclass
class RunOutcome:
    """What a run left: entries, failed trials with their reasons, warnings, notes on the data.

    failures: trials that failed, and those that ended without a result.
    unwritten: configurations whose finished trials make no entry, with the reasons.
    confined: how what trained was confined, in sentences, where that was asked for.
    """

    entries: list[Entry] = field(default_factory=list)
    failures: list[tuple[PlannedTrial, str]] = field(default_factory=list)
    unwritten: list[tuple[Configuration, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confined: list[str] = field(default_factory=list)


def execute_plan(
    plan: Plan,
    registry: Registry,
    resources: Resources,
    without: Sequence[str] = (),
    retry_failed: bool = False,
    origin: Origin = _UNNAMED,
    watch: Callable[[TrialEvent], None] | None = None,
) -> RunOutcome:
    """Train what a plan has left to do and write its entries.

    origin: who stands behind the entries.
    watch: called with every event, before the plugins that listen.
    Raises `UsageError` before any training where something that a configuration names cannot be
    used.
    """
    execution = _Execution(plan, registry, resources, without, origin, watch)
    pending = list(plan.pending(retry_failed))
    if pending:
        execution.train(pending)
    execution.write_entries()
    return execution.outcome


class _Execution:
    """One run of a plan, and what has come of it so far."""

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        resources: Resources,
        without: Sequence[str],
        origin: Origin,
        watch: Callable[[TrialEvent], None] | None,
    ) -> None:
        self.plan, self.registry, self.resources = plan, registry, resources
        self.origin = origin
        self.outcome = RunOutcome()
        self.dispatcher = EventDispatcher(registry, watch)
        self.messages = {
            configuration.entry_id: configuration_message(
                configuration, plan.out, resources, without
            )
            for configuration in plan.configurations
        }

    def train(self, pending: Sequence[PlannedTrial]) -> None:
        """Train trials, those last that another run is training."""
        require_writable(self.plan.out, "Give another folder with --leaderboards.")
        # One process first: it renders or decodes the data that the others then find cached.
        with self.resources.executor(self.plan.configurations, self.registry) as executor:
            by_split = {(t.configuration.entry_id, t.split): t.configuration for t in pending}
            needed = [(configuration, split) for (_, split), configuration in by_split.items()]
            reports, devices = prepare(needed, executor, self.messages)
            self.outcome.notes += reports
            for confined in executor.confinements():
                self.outcome.confined.append(confined.sentence)
                if not confined.prefix:
                    _log.warning("%s", confined.sentence)
            make_folder(self.plan.out, self.plan.out / TRIALS)
            # Only now: where something cannot be built, what is on file stays as it is.
            for trial in pending:
                if trial.status == "failed":
                    trial.folder.discard_result()
            executor.make_room(devices, self.resources.jobs, len(pending))
            elsewhere = self._pass(executor, pending, wait=False)
            if elsewhere:
                _log.warning(
                    "Another run is training %d of these trials; waiting for it.", len(elsewhere)
                )
                self._pass(executor, elsewhere, wait=True)
        if executor.stray_messages:
            self.outcome.warnings.append(
                f"{executor.stray_messages} messages of no trial came from processes that trained, "
                f"and were ignored."
            )
        self.outcome.warnings += self.dispatcher.warnings

    def write_entries(self) -> None:
        """Write the entry of every configuration, and add what failed in earlier runs."""
        for configuration in self.plan.configurations:
            try:
                entry = self._write(configuration)
            except DmlbenchError as error:
                self.outcome.unwritten.append((configuration, str(error)))
                continue
            if entry is not None:
                self.outcome.entries.append(entry)
        self._add_earlier_failures()

    def _pass(
        self, executor: Executor, trials: Sequence[PlannedTrial], wait: bool
    ) -> list[PlannedTrial]:
        """Train trials once each; gives those that another run holds."""
        elsewhere = []
        left = {id(trial): trial for trial in trials}
        jobs = TrialJobs((trial, self._message(trial, wait)) for trial in trials)
        for event in executor.run(jobs):
            trial = event.job
            if event.kind == "progress":
                kind, values = event.values["kind"], event.values["values"]
                begins = kind in ("trial_started", "features_progress")
                where = {"place": event.place} if begins else {}
                self.dispatcher.emit(trial, kind, {**values, **where})
                continue
            if event.kind == "still":
                _log.warning("%s", still_message(self._name(trial), event.values, trial))
                continue
            if event.kind == "done" and event.values["result"] == TRAINED:
                jobs.add_test(trial, self._message(trial, wait))
                continue
            del left[id(trial)]
            if event.kind == "error" and event.values.get("locked"):
                elsewhere.append(trial)
            else:
                self._end(trial, event)
        for trial in left.values():  # none, as the executor promises
            self._fail(trial, "nothing was heard of it")
        return elsewhere

    def _end(self, trial: PlannedTrial, event: Event) -> None:
        """Note how a trial ended."""
        if event.kind == "overdue":
            self._fail(
                trial,
                f"ended because it showed no progress for {event.values['seconds']:.0f} s "
                f"(--trial-timeout) while {event.values['stage']}",
            )
        elif event.kind != "done":
            self._fail(trial, event.values["message"])
        else:
            # What is wrong with an entry is told at the end, where it is tried again.
            with contextlib.suppress(DmlbenchError):
                self._write(trial.configuration)
            try:
                result = TrialResult.model_validate(event.values["result"]).trial
            except ValidationError:
                self._fail(trial, NO_RESULT)
                return
            if result.metrics is not None:
                seconds = result.cost.train_seconds
                values = {"metrics": result.metrics.model_dump(), "seconds": seconds}
                self.dispatcher.emit(trial, "trial_finished", values)
            else:
                self._fail(trial, result.reason)

    def _fail(self, trial: PlannedTrial, reason: str) -> None:
        self.outcome.failures.append((trial, reason))
        self.dispatcher.emit(trial, "trial_failed", {"reason": reason})

    def _message(self, trial: PlannedTrial, wait: bool) -> dict[str, object]:
        return {
            **self.messages[trial.configuration.entry_id],
            "split": trial.split,
            "seed": trial.seed,
            "code": trial.folder.code,
            "wait": wait,
        }

    def _name(self, trial: PlannedTrial) -> str:
        return f"{label(trial.configuration, self.registry)}, {trial.title},"

    def _write(self, configuration: Configuration) -> Entry | None:
        code = next(t.folder.code for t in self.plan.trials if t.configuration is configuration)
        return update_entry(self.plan.out, configuration, code, self.registry, self.origin)

    def _add_earlier_failures(self) -> None:
        """A trial that failed in an earlier run is a failure of this plan too."""
        failures = self.outcome.failures
        known = {(trial.configuration.entry_id, trial.key) for trial, _ in failures}
        reasons = _recorded_failures(self.outcome.entries)
        for trial in self.plan.trials:
            key = (trial.configuration.entry_id, trial.key)
            if key in reasons and key not in known:
                failures.append((trial, reasons[key]))


def _recorded_failures(entries: Iterable[Entry]) -> dict[tuple[str, Key], str]:
    return {
        (entry.entry_id, trial.key): trial.reason
        for entry in entries
        for trial in entry.trials
        if trial.status == "failed" and trial.reason is not None
    }
