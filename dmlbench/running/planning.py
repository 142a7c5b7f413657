"""The trials of a request, and which of them are already done."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dmlbench.leaderboard.entries.trial import trial_title
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.plan.code import code_sha256
from dmlbench.plan.config import Configuration
from dmlbench.plan.request import FindTuned, Request, configurations_of
from dmlbench.plan.trial_keys import missing_trials, trial_keys
from dmlbench.plugins.registry import Registry
from dmlbench.running.results import finished_results
from dmlbench.running.tuning_records import tuned
from dmlbench.statistics.intervals import Key
from dmlbench.training.trial_folder import TrialFolder

#: Of missing trials so many are listed.
MOST_LISTED = 10_000


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration on one class split with one seed.

    status: "to do", "begun", "completed" or "failed".
    """

    configuration: Configuration
    split: int
    seed: int
    folder: TrialFolder
    status: str

    @property
    def key(self) -> Key:
        return self.split, self.seed

    @property
    def title(self) -> str:
        """``seed 3``, or ``seed 3 of split 1``."""
        return trial_title(*self.key)


@dataclass(frozen=True)
class Plan:
    """All trials of a request, in the order in which they run: split by split, seed by seed.

    missing: (split, seed) of trials that some entry lacks, without which no rank is given; of
        very many the first ones.
    complete: how many splits and seeds the largest entry has once none is missing.
    fewest: how many splits and trials the smallest entry has after the run.
    """

    out: Path
    configurations: tuple[Configuration, ...]
    trials: tuple[PlannedTrial, ...]
    missing: tuple[Key, ...] = ()
    complete: Key = (1, 1)
    fewest: Key = (1, 1)

    def pending(self, retry_failed: bool = False) -> Iterator[PlannedTrial]:
        """The trials that have no result yet; failed ones too if they are to be tried again."""
        for trial in self.trials:
            if trial.status != "completed" and (trial.status != "failed" or retry_failed):
                yield trial


def make_plan(request: Request, registry: Registry) -> Plan:
    """Resolve every name and value of a request. Raises `UsageError`; imports no torch."""
    keys = trial_keys(request.splits, request.seeds)
    configurations = configurations_of(request, registry, tuned_in(request.out, registry))
    codes = {c.entry_id: code_sha256(c, registry) for c in configurations}
    finished = {
        c.entry_id: finished_results(request.out, c, codes[c.entry_id]) for c in configurations
    }
    trials = []
    # Seed by seed, so an interrupted run leaves rows that can be compared.
    for split, seed in keys:
        for configuration in configurations:
            entry_id = configuration.entry_id
            folder = TrialFolder(request.out, entry_id, codes[entry_id], seed, split)
            status = _status(folder, finished[entry_id].get((split, seed)))
            trials.append(PlannedTrial(configuration, split, seed, folder, status))
    there = [{*keys, *of_entry} for of_entry in finished.values()]
    gaps = (itertools.islice(missing_trials(of_entry), MOST_LISTED) for of_entry in there)
    missing = sorted(set().union(*gaps))[:MOST_LISTED]
    splits, seeds = (1 + max(numbers) for numbers in zip(*set().union(*there), strict=True))
    complete = (splits, seeds)
    fewest = min(len({split for split, _ in of}) for of in there), min(map(len, there))
    of_run = tuple(configurations), tuple(trials)
    return Plan(request.out, *of_run, tuple(missing), complete, fewest)


def tuned_in(out: Path, registry: Registry) -> FindTuned:
    """Where a request finds tuned values: in the records of this folder."""
    return lambda configuration, fixed: tuned(out, configuration, registry, fixed)


def _status(folder: TrialFolder, result: TrialResult | None) -> str:
    if result is not None:
        return result.trial.status
    return "begun" if folder.checkpoint_file.exists() else "to do"
