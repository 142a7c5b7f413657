"""Carries out a plan: trials through an executor, entries as soon as their trials are there.

One failing trial never stops the others; whatever was finished before an interruption is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmlbench.errors import DmlbenchError, PluginError, UsageError
from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.plan.config import Configuration
from dmlbench.plan.labels import label
from dmlbench.plugins.registry import Registry
from dmlbench.running.assemble import Origin, assemble_entry, carried_on
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.planning import Plan, PlannedTrial
from dmlbench.running.results import finished_results, set_aside, stored_entry
from dmlbench.running.tuning_records import tuning_of
from dmlbench.training.environment import available_cores
from dmlbench.training.trial_folder import entry_lock

_UNNAMED = Origin()


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use: `jobs` trials at once, with `threads` threads each, on `device`.

    jobs: None for as many as the processor has room for, or 1 on a GPU.
    device: "cpu", "cuda", "cuda:1", ..., or "auto" for CUDA where it is there.
    clustering: whether to spend time on NMI and AMI; without, they are None, and nothing else
        about an entry changes.
    """

    jobs: int | None = None
    threads: int = 1
    device: str = "auto"
    clustering: bool = True

    def processes(self, device: str, pending: int) -> int:
        """How many trials run at once, of `pending`, on the device that was found."""
        room = 1 if device != "cpu" else max(1, available_cores() // self.threads)
        return min(self.jobs or room, pending)


@dataclass
class Outcome:
    """What a run left: entries, failed trials with their reasons, warnings, notes on the data.

    unwritten: configurations whose finished trials make no entry, with the reasons.
    """

    entries: list[Entry] = field(default_factory=list)
    failures: list[tuple[PlannedTrial, str]] = field(default_factory=list)
    unwritten: list[tuple[Configuration, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def carry_out(
    plan: Plan,
    registry: Registry,
    resources: Resources,
    without: Sequence[str] = (),
    retry_failed: bool = False,
    origin: Origin = _UNNAMED,
    watch: Callable[[TrialEvent], None] | None = None,
) -> Outcome:
    """Train what a plan has left to do and write its entries.

    origin: who stands behind the entries.
    watch: called with every event, before the plugins that listen.
    Raises `UsageError` before any training where something that a configuration names cannot be
    used.
    """
    outcome = Outcome()
    pending = list(plan.pending(retry_failed))
    audience = _Audience(registry, watch, outcome)
    messages = {
        configuration.entry_id: job_message(configuration, plan.out, resources, without)
        for configuration in plan.configurations
    }
    if pending:
        # One process first: it renders or decodes the data that the others then find cached.
        with LocalExecutor(1, resources.threads) as executor:
            needed = {trial.configuration.entry_id: trial.configuration for trial in pending}
            reports, device = prepare(needed, executor, messages)
            outcome.notes += reports
            # Only now: where something cannot be built, what is on file stays as it is.
            for trial in pending:
                if trial.status == "failed":
                    trial.folder.discard_result()
            executor.processes = resources.processes(device, len(pending))
            jobs = (
                (
                    trial,
                    {
                        "kind": "trial",
                        **messages[trial.configuration.entry_id],
                        "seed": trial.seed,
                        "code": trial.folder.code,
                    },
                )
                for trial in pending
            )
            for event in executor.run(jobs):
                trial = event.job
                if event.kind == "progress":
                    audience.tell(trial, event.values["kind"], event.values["values"])
                elif event.kind == "done":
                    result = event.values["result"]["trial"]
                    # What is wrong with an entry is told at the end, where it is tried again.
                    with contextlib.suppress(DmlbenchError):
                        _write(plan, registry, trial.configuration, origin)
                    _finish(audience, trial, result, outcome)
                else:
                    reason = event.values["message"]
                    outcome.failures.append((trial, reason))
                    audience.tell(trial, "trial_failed", {"reason": reason})
    for configuration in plan.configurations:
        try:
            entry = _write(plan, registry, configuration, origin)
        except DmlbenchError as error:
            outcome.unwritten.append((configuration, str(error)))
            continue
        if entry is not None:
            outcome.entries.append(entry)
    _add_earlier_failures(plan, outcome)
    return outcome


def job_message(
    configuration: Configuration, out: Path, resources: Resources, without: Sequence[str]
) -> dict[str, Any]:
    """What a worker is told of a configuration, whatever it is to do with it."""
    return {
        "configuration": configuration.to_json(),
        "entry_id": configuration.entry_id,
        "without": list(without),
        "out": str(out),
        "threads": resources.threads,
        "device": resources.device,
        "clustering": resources.clustering,
    }


def prepare(
    configurations: Mapping[str, Configuration],
    executor: LocalExecutor,
    messages: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], str]:
    """Build every configuration once, so that what is wrong shows before any training.

    configurations, messages: by entry id.
    Gives the decisions that loading the data took, and the device. Raises `DmlbenchError` that
    names what is at fault (`dmlbench.training.readiness`).
    """
    device = "cpu"
    reports: dict[str, None] = {}
    errors = {UsageError.exit_code: UsageError, PluginError.exit_code: PluginError}
    jobs: Iterator[Any] = (
        (configuration, {"kind": "prepare", **messages[entry_id]})
        for entry_id, configuration in configurations.items()
    )
    for event in executor.run(jobs):
        if event.kind == "done":
            reports.update(dict.fromkeys(event.values["result"]["report"]))
            device = event.values["result"]["device"]
        elif event.kind == "error":
            raise errors.get(event.values["exit_code"], DmlbenchError)(event.values["message"])
        elif event.kind == "died":
            raise DmlbenchError(
                f"{event.job.label()} cannot be trained: {event.values['message']}, while data "
                f"and components were made ready"
            )
    return list(reports), device


def _write(
    plan: Plan, registry: Registry, configuration: Configuration, origin: Origin
) -> Entry | None:
    """Write the entry of the trials that are finished, those of earlier runs included.

    Leaves the file alone where it holds these trials already.
    Raises `DmlbenchError` where they make no entry.
    """
    code = next(t.folder.code for t in plan.trials if t.configuration is configuration)
    with entry_lock(plan.out, configuration.entry_id):
        results = finished_results(plan.out, configuration, code)
        if not results:
            return None
        assembled = assemble_entry(
            configuration,
            registry,
            list(results.values()),
            origin,
            tuning_of(plan.out, configuration),
        )
        stored = stored_entry(plan.out, configuration, code)
        entry = carried_on(stored, assembled, origin)
        if entry is not stored:
            set_aside(plan.out, configuration, code)
            write_entry(plan.out, entry)
    return entry


def _add_earlier_failures(plan: Plan, outcome: Outcome) -> None:
    """A trial that failed in an earlier run is a failure of this plan too."""
    known = {(trial.configuration.entry_id, trial.seed) for trial, _ in outcome.failures}
    reasons = {
        (entry.entry_id, trial.seed): trial.reason
        for entry in outcome.entries
        for trial in entry.trials
        if trial.status == "failed"
    }
    for trial in plan.trials:
        key = (trial.configuration.entry_id, trial.seed)
        if key in reasons and key not in known:
            outcome.failures.append((trial, reasons[key]))


def _finish(
    audience: _Audience, trial: PlannedTrial, result: Mapping[str, Any], outcome: Outcome
) -> None:
    if result["status"] == "completed":
        values = {"metrics": result["metrics"], "seconds": result["cost"]["train_seconds"]}
        audience.tell(trial, "trial_finished", values)
    else:
        outcome.failures.append((trial, result["reason"]))
        audience.tell(trial, "trial_failed", {"reason": result["reason"]})


@dataclass(frozen=True)
class _Audience:
    """Whoever is told of events: the one who watches the run, then the plugins that listen."""

    registry: Registry
    watch: Callable[[TrialEvent], None] | None
    outcome: Outcome

    def tell(self, trial: PlannedTrial, kind: str, values: Mapping[str, Any]) -> None:
        """Pass an event on. A tracker that breaks must not cost a trial, and is warned of."""
        event = TrialEvent(
            kind=kind,
            entry_id=trial.configuration.entry_id,
            configuration=label(trial.configuration, self.registry),
            seed=trial.seed,
            values=values,
        )
        for listener in [*([self.watch] if self.watch else []), *self.registry.listeners]:
            try:
                listener(event)
            except Exception as error:
                warning = f"A listener failed on {kind}: {type(error).__name__}: {error}"
                if warning not in self.outcome.warnings:
                    self.outcome.warnings.append(warning)
