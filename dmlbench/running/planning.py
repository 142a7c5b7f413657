"""The trials of a request, and which of them are already done."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.plan.code import code_sha256
from dmlbench.plan.config import Configuration
from dmlbench.plan.request import FindTuned, Request, configurations_of, seeds_of
from dmlbench.plugins.registry import Registry
from dmlbench.running.results import finished_results
from dmlbench.running.tuning_records import tuned
from dmlbench.training.trial_folder import TrialFolder


@dataclass(frozen=True)
class PlannedTrial:
    """One configuration with one seed; `status` is "to do", "begun", "completed" or "failed"."""

    configuration: Configuration
    seed: int
    folder: TrialFolder
    status: str


@dataclass(frozen=True)
class Plan:
    """All trials of a request, in the order in which they run: seed by seed.

    missing_seeds: those that some entry lacks to have 0 to n - 1, without which no rank is given.
    """

    out: Path
    configurations: tuple[Configuration, ...]
    trials: tuple[PlannedTrial, ...]
    missing_seeds: tuple[int, ...] = ()

    def pending(self, retry_failed: bool = False) -> Iterator[PlannedTrial]:
        """The trials that have no result yet; failed ones too if they are to be tried again."""
        for trial in self.trials:
            if trial.status != "completed" and (trial.status != "failed" or retry_failed):
                yield trial


def make_plan(request: Request, registry: Registry) -> Plan:
    """Resolve every name and value of a request. Raises `UsageError`; imports no torch."""
    seeds = seeds_of(request.seeds)
    configurations = configurations_of(request, registry, tuned_in(request.out, registry))
    codes = {c.entry_id: code_sha256(c, registry) for c in configurations}
    finished = {
        c.entry_id: finished_results(request.out, c, codes[c.entry_id]) for c in configurations
    }
    trials = []
    # Seed by seed, so an interrupted run leaves rows that can be compared.
    for seed in seeds:
        for configuration in configurations:
            entry_id = configuration.entry_id
            folder = TrialFolder(request.out, entry_id, codes[entry_id], seed)
            status = _status(folder, finished[entry_id].get(seed))
            trials.append(PlannedTrial(configuration, seed, folder, status))
    gaps = [_gap({*seeds, *of_entry}) for of_entry in finished.values()]
    missing = tuple(sorted(set().union(*gaps)))
    return Plan(request.out, tuple(configurations), tuple(trials), missing)


def tuned_in(out: Path, registry: Registry) -> FindTuned:
    """Where a request finds tuned values: in the records of this folder."""
    return lambda configuration, fixed: tuned(out, configuration, registry, fixed)


def _gap(seeds: Set[int]) -> set[int]:
    """The seeds that are missing for these to be 0 to n - 1."""
    return set(range(max(seeds))) - seeds


def _status(folder: TrialFolder, result: TrialResult | None) -> str:
    if result is not None:
        return result.trial.status
    return "begun" if folder.checkpoint_file.exists() else "to do"
