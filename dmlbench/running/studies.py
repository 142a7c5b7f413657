"""The tuning trials of one setting: what is proposed next, and the record of what was tried.

Optuna is asked again before every tuning trial, and knows only the finished ones: the record alone
decides what comes next, so an interrupted tuning proposes what an uninterrupted one does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.files import write_atomically
from dmlbench.leaderboard.entries.trial_result import ValidationResult
from dmlbench.leaderboard.entries.tuning import TuningRecord, TuningTrial
from dmlbench.plan.conditions import choices_of, is_tried
from dmlbench.plan.identity import canonical_json, sha256_of
from dmlbench.running.tuning_records import Setting

#: Drawn at random before the sampler uses scores; fixed, so a larger budget continues a smaller.
_RANDOM_TRIALS = 3

#: Proposals in a row that were all tried before: the space holds nothing else, in all likelihood.
_MOST_ASKED = 200


def require_optuna() -> None:
    """Raise `UsageError` where optuna is missing; otherwise keep it quiet."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("Tuning needs optuna: pip install 'dmlbench[tune]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@dataclass
class Study:
    """The tuning trials of one setting so far, and the one that is being trained.

    code: hash of the code that decides the scores.
    params, results: of the one that is being trained; results by seed.
    """

    setting: Setting
    code: str
    budget: int
    seeds: Sequence[int]
    trials: list[TuningTrial] = field(default_factory=list)
    params: dict[str, Any] = field(default_factory=dict)
    results: dict[int, ValidationResult] = field(default_factory=dict)
    exhausted: bool = False

    @property
    def done(self) -> bool:
        """Whether the budget is spent, or nothing is left to try."""
        return self.exhausted or len(self.trials) >= self.budget

    def resume(self, out: Path) -> None:
        """Take over the tuning trials on file, unless other code or other seeds made them."""
        record = self.setting.read(out)
        if record is None:
            return
        same = (record.code_sha256, list(record.seeds), canonical_json(record.space)) == (
            self.code,
            list(self.seeds),
            canonical_json(self._space()),
        )
        if same:
            self.trials = list(record.trials)
            self.budget = max(self.budget, len(self.trials))

    def propose(self) -> None:
        """Choose what to try next: the defaults first, then what Optuna asks for and is new.

        A space of a few values may hold nothing more to try: the study is then exhausted, and its
        budget not used up.
        """
        import optuna

        self.results = {}
        if not self.trials:
            self.params = {}
            return
        name = sha256_of([self.setting.sha256, self.code, list(self.seeds)])
        seed = int(sha256_of([name, len(self.trials)])[:8], 16)
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=_RANDOM_TRIALS)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        space = {name: _distribution(tried) for name, tried in self.setting.space.items()}
        study.add_trials(
            [_as_optuna_trial(trial, space, self.setting.space) for trial in self.trials[1:]]
        )
        tried = {canonical_json(trial.params) for trial in self.trials}
        for _ in range(_MOST_ASKED):
            proposed = study.ask(space).params
            self.params = self.setting.effective(
                {name: _rounded(value, space[name]) for name, value in proposed.items()}
            )
            if canonical_json(self.params) not in tried:
                return
        self.exhausted = True

    def take(self, seed: int, result: ValidationResult) -> bool:
        """Note a result of the current tuning trial; gives whether it was its last."""
        self.results[seed] = result
        if len(self.results) < len(self.seeds):
            return False
        results = list(self.results.values())
        reasons = [result.reason for result in results if result.reason]
        score = statistics.fmean(r.validation_map_at_r for r in results) if not reasons else None
        self.trials.append(
            TuningTrial(
                params={**self.setting.start(), **self.params},
                validation_map_at_r=score,
                reason=reasons[0] if reasons else None,
                train_seconds=sum(result.train_seconds for result in results),
            )
        )
        return True

    def record(self) -> TuningRecord:
        """What was tried, in the form in which entries keep it."""
        import optuna

        return TuningRecord(
            kind="row",
            setting_sha256=self.setting.sha256,
            code_sha256=self.code,
            budget=self.budget,
            seeds=list(self.seeds),
            space=self._space(),
            sampler=f"optuna {optuna.__version__} TPE, {_RANDOM_TRIALS} random after the defaults",
            trials=self.trials,
        )

    def write(self, out: Path) -> None:
        """Keep the record."""
        text = self.record().model_dump_json(indent=1) + "\n"
        write_atomically(self.setting.path(out), lambda file: file.write(text.encode()))

    def _space(self) -> dict[str, Any]:
        return {
            name: dict(tried) if isinstance(tried, Mapping) else list(tried)
            for name, tried in self.setting.space.items()
        }


def _rounded(value: Any, distribution: Any) -> Any:
    """A proposed value with three digits: a row of a leaderboard has to be read."""
    if not isinstance(value, float) or hasattr(distribution, "choices"):
        return value
    return min(max(float(f"{value:.3g}"), distribution.low), distribution.high)


def _as_optuna_trial(
    trial: TuningTrial, distributions: Mapping[str, Any], space: Mapping[str, Any]
) -> Any:
    """The trial with the values that had an effect in it: TPE learns nothing from the others."""
    import optuna

    tried = [key for key in space if is_tried(space, key, trial.params)]
    score = trial.validation_map_at_r
    state = optuna.trial.TrialState
    return optuna.trial.create_trial(
        state=state.FAIL if score is None else state.COMPLETE,
        params={key: trial.params[key] for key in tried},
        distributions={key: distributions[key] for key in tried},
        value=score,
    )


def _distribution(tried: Any) -> Any:
    """What may be tried for a parameter, in Optuna's form."""
    from optuna import distributions

    choices = choices_of(tried)
    if choices is not None:
        return distributions.CategoricalDistribution(choices)
    low, high, log = tried["low"], tried["high"], bool(tried.get("log"))
    if isinstance(low, int) and isinstance(high, int):
        return distributions.IntDistribution(low, high, log=log)
    return distributions.FloatDistribution(low, high, log=log)
