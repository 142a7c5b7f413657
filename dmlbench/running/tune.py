"""Tuning: the same budget of validation trials for every configuration, no look at test classes.

All that may be searched of a configuration (`dmlbench.plan.search_space`) is searched together, so
an ensemble has the same number of tuning trials as each single loss. Optuna proposes the values;
its studies are kept in an SQLite file. A tuning trial is trained like any trial, and its score is
its best validation MAP@R. The first one has the default values, so tuning never ends below them on
validation classes. Tuning trials of one configuration follow one another, those of different
configurations run side by side: what is proposed depends only on the scores before.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmlbench.errors import TrialFailure, UsageError
from dmlbench.files import write_atomically
from dmlbench.leaderboard.entries.entry import TuningRecord, TuningTrial
from dmlbench.plan.code import code_sha256
from dmlbench.plan.config import canonical_json, sha256_of
from dmlbench.plugins.registry import Registry
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.runner import Resources, job_message, prepare
from dmlbench.running.tuning_records import Setting
from dmlbench.training.trial_folder import TRIALS, make_folder

#: Apart from the seeds 0, 1, ... of a run, so that no validation split decides twice.
TUNING_SEEDS = (1000,)
BUDGET = 16
#: Drawn at random before the sampler uses scores; fixed, so a larger budget continues a smaller.
_RANDOM_TRIALS = 3

#: Proposals in a row that were all tried before: the space holds nothing else, in all likelihood.
_MOST_ASKED = 200


@dataclass
class _Study:
    """The tuning trials of one setting so far, and the one that is being trained."""

    setting: Setting
    code: str
    budget: int
    seeds: Sequence[int]
    trials: list[TuningTrial] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    results: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    exhausted: bool = False

    @property
    def done(self) -> bool:
        return self.exhausted or len(self.trials) >= self.budget

    def record(self) -> TuningRecord:
        import optuna

        return TuningRecord(
            kind="row",
            setting_sha256=self.setting.sha256,
            code_sha256=self.code,
            budget=self.budget,
            seeds=list(self.seeds),
            space={name: _plain(tried) for name, tried in self.setting.space.items()},
            sampler=f"optuna {optuna.__version__} TPE, {_RANDOM_TRIALS} random after the defaults",
            trials=self.trials,
        )


def tune(
    settings: Sequence[Setting],
    registry: Registry,
    resources: Resources,
    out: Path,
    *,
    budget: int = BUDGET,
    seeds: Sequence[int] = TUNING_SEEDS,
    without: Sequence[str] = (),
    watch: Callable[[Setting, TuningTrial, int], None] | None = None,
) -> list[TuningRecord]:
    """Try `budget` sets of values of each configuration; resumes earlier tuning.

    seeds: every tuning trial is trained once per seed; its score is the mean of the best validation
        MAP@R.
    watch: called with the setting, the tuning trial and its number, from 1, after each.
    Records are stored in `out` (`dmlbench.running.tuning_records`). Raises `UsageError` where
    optuna is missing or a configuration has nothing to tune, and `TrialFailure` at the end where a
    process died.
    """
    studies = [_Study(s, code_sha256(s.configuration, registry), budget, seeds) for s in settings]
    for study in studies:
        if not study.setting.space:
            raise UsageError(
                f"{study.setting.configuration.label()} has nothing to tune: every value in its "
                f"search space was given."
            )
    storage = _storage(out)
    for study in studies:
        _go_on(study, out)
    waiting = _Queue(out, resources, without)
    stopped: dict[str, str] = {}
    with LocalExecutor(1, resources.threads) as executor:
        needed = {s.setting.configuration.entry_id: s.setting.configuration for s in studies}
        messages = {i: job_message(c, out, resources, without) for i, c in needed.items()}
        _, device = prepare(needed, executor, messages)
        for study in studies:
            if not study.done:
                _propose(study, storage)
        pending = [study for study in studies if not study.done]
        for study in pending:
            waiting.add(study)
        executor.processes = resources.processes(device, len(pending) * len(seeds))
        for event in executor.run(waiting):
            if event.kind == "progress":
                continue
            study, seed = event.job
            if event.kind != "done":
                # No fault of the parameters: the try is not counted, and the others go on.
                stopped[study.setting.configuration.label()] = event.values["message"]
                continue
            study.results[seed] = event.values["result"]
            if len(study.results) < len(seeds):
                continue
            _take(study)
            _write(study, out)
            if watch is not None:
                watch(study.setting, study.trials[-1], len(study.trials))
            if not study.done:
                _propose(study, storage)
            if not study.done:
                waiting.add(study)
    if stopped:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in stopped.items())
        raise TrialFailure(
            f"Tuning stopped early ({reasons}). Finished tries are kept; the same command goes on."
        )
    return [study.record() for study in studies]


class _Queue:
    """Jobs as they become known; unlike a generator it may go on after it has run empty."""

    def __init__(self, out: Path, resources: Resources, without: Sequence[str]) -> None:
        # Apart from the trials of runs, whose results hold test metrics.
        self.out = out / TRIALS / "tuning"
        self.resources, self.without = resources, without
        self.jobs: deque[tuple[Any, Mapping[str, Any]]] = deque()

    def add(self, study: _Study) -> None:
        configuration = study.setting.at(study.params)
        message = job_message(configuration, self.out, self.resources, self.without)
        for seed in study.seeds:
            job = {"kind": "validation", **message, "seed": seed, "code": study.code}
            self.jobs.append(((study, seed), job))

    def __iter__(self) -> _Queue:
        return self

    def __next__(self) -> tuple[Any, Mapping[str, Any]]:
        if not self.jobs:
            raise StopIteration
        return self.jobs.popleft()


def _storage(out: Path) -> str:
    try:
        import optuna
    except ImportError as error:
        raise UsageError("Tuning needs optuna: pip install 'dmlbench[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = out / TRIALS / "tuning"
    make_folder(out, folder)
    return f"sqlite:///{folder / 'studies.db'}"


def _propose(study: _Study, storage: str) -> None:
    """Choose what to try next: the defaults first, then what Optuna asks for and was not tried.

    The finished tries are what the record holds; Optuna's file is brought up to it, and asked in
    memory, so that a try that never finished leaves no trace. A space of a few values may hold
    nothing more to try: the study is then exhausted, and its budget not used up.
    """
    import optuna

    study.results = {}
    if not study.trials:
        study.params = {}
        return
    name = sha256_of([study.setting.sha256, study.code, list(study.seeds)])
    kept = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    finished = [_finished(trial, study.setting.space) for trial in study.trials[1:]]
    kept.add_trials(finished[len(kept.trials) :])
    seed = int(sha256_of([name, len(study.trials)])[:8], 16)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS)
    asked = optuna.create_study(direction="maximize", sampler=sampler)
    asked.add_trials(finished)
    space = {name: _distribution(tried) for name, tried in study.setting.space.items()}
    tried = {canonical_json(trial.params) for trial in study.trials}
    for _ in range(_MOST_ASKED):
        study.params = {
            name: _rounded(value, space[name]) for name, value in asked.ask(space).params.items()
        }
        if canonical_json(study.params) not in tried:
            return
    study.exhausted = True


def _rounded(value: Any, distribution: Any) -> Any:
    """A proposed value with three digits: a row of a leaderboard has to be read."""
    if not isinstance(value, float):
        return value
    return min(max(float(f"{value:.3g}"), distribution.low), distribution.high)


def _finished(trial: TuningTrial, space: Mapping[str, Any]) -> Any:
    """A try in Optuna's form."""
    import optuna

    score = trial.validation_map_at_r
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=state.FAIL if score is None else state.COMPLETE,
        params=dict(trial.params),
        distributions={name: _distribution(tried) for name, tried in space.items()},
        value=score,
    )


def _distribution(tried: Any) -> Any:
    """What may be tried for a parameter, in Optuna's form."""
    from optuna import distributions

    if not isinstance(tried, Mapping):
        return distributions.CategoricalDistribution(list(tried))
    low, high, log = tried["low"], tried["high"], bool(tried.get("log"))
    if isinstance(low, int) and isinstance(high, int):
        return distributions.IntDistribution(low, high, log=log)
    return distributions.FloatDistribution(low, high, log=log)


def _take(study: _Study) -> None:
    """Turn the results of a try into its record."""
    values = [result["validation_map_at_r"] for result in study.results.values()]
    reasons = [result["reason"] for result in study.results.values() if result["reason"]]
    study.trials.append(
        TuningTrial(
            params={**study.setting.start(), **study.params},
            validation_map_at_r=None if reasons else statistics.fmean(values),
            reason=reasons[0] if reasons else None,
            train_seconds=sum(result["train_seconds"] for result in study.results.values()),
        )
    )


def _go_on(study: _Study, out: Path) -> None:
    """Take over the tries that are there, unless other code or other seeds made them."""
    record = study.setting.read(out)
    if record is None:
        return
    same = (record.code_sha256, list(record.seeds), canonical_json(record.space)) == (
        study.code,
        list(study.seeds),
        canonical_json({name: _plain(tried) for name, tried in study.setting.space.items()}),
    )
    if same:
        study.trials = list(record.trials)
        study.budget = max(study.budget, len(study.trials))


def _write(study: _Study, out: Path) -> None:
    path = study.setting.path(out)
    text = study.record().model_dump_json(indent=1) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _plain(tried: Any) -> Any:
    return dict(tried) if isinstance(tried, Mapping) else list(tried)
