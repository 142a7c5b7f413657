"""Audit entries: train a few of their trials again, drawn after they were submitted."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmlbench.errors import DmlbenchError
from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import read_entry
from dmlbench.leaderboard.verification.drawing import drawn_trials
from dmlbench.plugins.registry import Registry
from dmlbench.running.jobs import Cluster
from dmlbench.running.planning import Plan
from dmlbench.running.reproduce import Reproduction, confinement_in, plan_trials, reproduce

Watching = contextlib.AbstractContextManager[Callable[[TrialEvent], None] | None]


@dataclass(frozen=True)
class Audited:
    """What the audit of one file found.

    entry, found: None where it could not be read, or was not trained, for the `reason` given.
    """

    path: Path
    entry: Entry | None
    found: Reproduction | None
    reason: str = ""


def audit(
    paths: Sequence[Path],
    registry: Registry,
    scratch: Path,
    *,
    trials: int,
    salt: str,
    who: str,
    seconds: float | None = None,
    jobs: int | None = None,
    device: str = "auto",
    trial_timeout: float | None = None,
    confine: bool = True,
    cluster: Cluster | None = None,
    without: Sequence[str] = (),
    watching: Callable[[Plan], Watching] = lambda plan: contextlib.nullcontext(),
) -> Iterator[Audited]:
    """Audit entries one after the other; one that cannot be audited does not stop the others.

    trials: how many of each entry's completed trials are trained again, and of its failed ones;
        `salt` decides which.
    seconds: time limit of all together, at which what still trains is ended. An entry is left out
        and named if its trials took its author longer than what remains. That time is the author's
        word: it decides what is begun, never for how long it trains.
    trial_timeout, cluster, without: as of `reproduce`.
    confine: train confined (`confinement_in`), where this machine can.
    watching: around the training of a plan; gives what to call with its events, or None.
    """
    until = None if seconds is None else time.monotonic() + seconds
    confined = confinement_in(scratch) if confine else None
    for path in paths:
        try:
            entry = read_entry(path)
        except DmlbenchError as error:
            yield Audited(path, None, None, str(error))
            continue
        drawn = drawn_trials(entry, salt, trials)
        needed = _expected_seconds(entry, drawn)
        if until is not None and time.monotonic() + needed > until:
            left = max(0.0, until - time.monotonic())
            reason = (
                f"would take about {needed:.0f} s, as long as its author's trials took, and "
                f"{left:.0f} s of the time limit are left"
            )
            yield Audited(path, entry, None, reason)
            continue
        try:
            plan = plan_trials(entry, drawn, scratch, registry)
            with watching(plan) as watch:
                found = reproduce(
                    entry,
                    plan,
                    registry,
                    who=who,
                    kind="audited",
                    salt=salt,
                    jobs=jobs,
                    device=device,
                    trial_timeout=trial_timeout,
                    until=until,
                    confined=confined,
                    cluster=cluster,
                    without=without,
                    watch=watch,
                )
        except DmlbenchError as error:
            yield Audited(path, entry, None, str(error))
            continue
        yield Audited(path, entry, found)


def _expected_seconds(entry: Entry, drawn: Sequence[tuple[int, int]]) -> float:
    """What its author's trials took; a failed one, of which no time is known, as the others."""
    costs = {t.key: t.cost.train_seconds + t.cost.evaluate_seconds for t in entry.completed}
    usual = statistics.fmean(costs.values()) if costs else 0.0
    return sum(costs.get(key, usual) for key in drawn)
