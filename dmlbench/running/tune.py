"""Tuning: the same budget of validation trials for every configuration, no look at test classes.

All that may be searched of a configuration (`dmlbench.plan.search_space`) is searched together, so
an ensemble has the same number of tuning trials as each single loss. A tuning trial is trained like
any trial, and its score is its best validation MAP@R. The first one has the default values, so
tuning never ends below them on validation classes. Tuning trials of one configuration follow one
another, those of different configurations run side by side: what is proposed depends only on the
scores before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dmlbench.errors import TrialFailure, UsageError
from dmlbench.files import require_writable
from dmlbench.leaderboard.entries.trial_result import ValidationResult
from dmlbench.leaderboard.entries.tuning import TuningRecord, TuningTrial
from dmlbench.plan.code import code_sha256
from dmlbench.plan.search_space import BUDGET, TUNING_SEEDS
from dmlbench.plugins.registry import Registry
from dmlbench.running.jobs import (
    NO_RESULT,
    Resources,
    configuration_message,
    prepare,
    still_message,
)
from dmlbench.running.studies import Study, require_optuna
from dmlbench.running.tuning_records import Setting
from dmlbench.training.trial_folder import TRIALS, make_folder

#: One configuration has one set of values, so they are chosen once: on the dataset's own split.
TUNING_SPLIT = 0

Watch = Callable[[Setting, TuningTrial, int], None]
#: Setting, number of the tuning trial, seed, values of the event.
WatchEpochs = Callable[[Setting, int, int, Mapping[str, Any]], None]

_log = logging.getLogger(__name__)


def tune(
    settings: Sequence[Setting],
    registry: Registry,
    resources: Resources,
    out: Path,
    *,
    budget: int = BUDGET,
    seeds: Sequence[int] = TUNING_SEEDS,
    without: Sequence[str] = (),
    watch: Watch | None = None,
    watch_epochs: WatchEpochs | None = None,
) -> list[TuningRecord]:
    """Try `budget` sets of values of each configuration; resumes earlier tuning.

    seeds: every tuning trial is trained once per seed; its score is the mean of the best validation
        MAP@R.
    watch: called with the setting, the tuning trial and its number, from 1, after each;
        watch_epochs: after each epoch of one, with its number, the seed and what the epoch gave.
    Records are stored in `out` (`dmlbench.running.tuning_records`). Raises `UsageError` where
    optuna is missing or a configuration has nothing to tune, and `TrialFailure` at the end where a
    tuning trial ended without a result.
    """
    studies = [Study(s, code_sha256(s.configuration, registry), budget, seeds) for s in settings]
    _require_space(settings)
    require_optuna()
    require_writable(out, "Give another folder with --leaderboards.")
    make_folder(out, out / TRIALS / "tuning")
    for study in studies:
        study.resume(out)
    queue = _Queue(out, resources, without)
    stopped = _run_studies(studies, queue, registry, watch, watch_epochs)
    if stopped:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in stopped.items())
        raise TrialFailure(
            f"Tuning stopped early ({reasons}). Finished tuning trials are kept; "
            f"the same command resumes."
        )
    return [study.record() for study in studies]


def _require_space(settings: Sequence[Setting]) -> None:
    for setting in settings:
        if not setting.space:
            raise UsageError(
                f"{setting.configuration.label()} has nothing to tune: every value in its "
                f"search space was given."
            )


def _run_studies(
    studies: Sequence[Study],
    queue: _Queue,
    registry: Registry,
    watch: Watch | None,
    watch_epochs: WatchEpochs | None,
) -> dict[str, str]:
    """Train tuning trials until every study is done; gives reasons of those that stopped."""
    resources, stopped = queue.resources, {}
    needed = {s.setting.configuration.entry_id: s.setting.configuration for s in studies}
    with resources.executor(needed.values(), registry) as executor:
        messages = {
            entry_id: configuration_message(configuration, queue.out, resources, queue.without)
            for entry_id, configuration in needed.items()
        }
        _, devices = prepare([(c, TUNING_SPLIT) for c in needed.values()], executor, messages)
        for study in studies:
            queue.add_next_trial(study)
        executor.make_room(devices, resources.jobs, max(1, len(queue.jobs)))
        for event in executor.run(queue):
            study, seed = event.job
            name = study.setting.configuration.label()
            if event.kind == "done":
                try:
                    result = ValidationResult.model_validate(event.values["result"])
                except ValidationError:
                    stopped[name] = NO_RESULT
                    continue
                _take(study, seed, result, queue, watch)
            elif event.kind == "still":
                _log.warning("%s", still_message(name, event.values))
            elif event.kind == "overdue":
                stopped[name] = f"no progress for {event.values['seconds']:.0f} s (--trial-timeout)"
            elif event.kind == "progress":
                if watch_epochs is not None and event.values["kind"] == "epoch_finished":
                    number = len(study.trials) + 1
                    watch_epochs(study.setting, number, seed, event.values["values"])
            else:
                # No fault of the parameters: the trial is not counted, and the others go on.
                stopped[name] = event.values["message"]
    return stopped


def _take(
    study: Study, seed: int, result: ValidationResult, queue: _Queue, watch: Watch | None
) -> None:
    """Note a result; after the last seed of a tuning trial, keep it and go on to the next."""
    if not study.take(seed, result):
        return
    study.write(queue.leaderboards)
    if watch is not None:
        watch(study.setting, study.trials[-1], len(study.trials))
    queue.add_next_trial(study)


class _Queue:
    """Jobs as they become known; unlike a generator it may go on after it has run empty."""

    def __init__(self, out: Path, resources: Resources, without: Sequence[str]) -> None:
        self.leaderboards = out
        # Apart from the trials of runs, whose results hold test metrics.
        self.out = out / TRIALS / "tuning"
        self.resources, self.without = resources, without
        self.jobs: deque[tuple[Any, Mapping[str, Any]]] = deque()

    def add_next_trial(self, study: Study) -> None:
        """Let the study propose its next tuning trial and queue it, if there is one."""
        if not study.done:
            study.propose()
        if study.done:
            return
        configuration = study.setting.at(study.params)
        message = configuration_message(configuration, self.out, self.resources, self.without)
        for seed in study.seeds:
            # Where two tune at once, the one waits for the trial of the other and takes its result.
            trial = {"split": TUNING_SPLIT, "seed": seed, "code": study.code, "wait": True}
            self.jobs.append(((study, seed), {"kind": "validation", **message, **trial}))

    def __iter__(self) -> _Queue:
        return self

    def __next__(self) -> tuple[Any, Mapping[str, Any]]:
        if not self.jobs:
            raise StopIteration
        return self.jobs.popleft()
