"""How parameters were chosen before the trials of an entry."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from dmlbench.leaderboard.entries.record import (
    Fraction,
    Name,
    Record,
    Seconds,
    Sha256,
    Small,
)


class TuningTrial(Record):
    """What tuning tried once: values and mean validation MAP@R, or why there is none."""

    params: dict[str, JsonValue]
    validation_map_at_r: Fraction | None
    reason: str | None
    train_seconds: Seconds


class TuningRecord(Record):
    """How a configuration's values were chosen: on validation classes, within a budget of trials.

    kind: "row": all values of the configuration were searched together, by keys such as
        ``losses[0].margin`` or ``recipe.optimizer.head_lr``. In schema 1 the parameters of one
        loss or combiner were, whose `distribution` and `name` the record has.
    setting_sha256: hash of what was held fixed: the configuration without the values tried.
    code_sha256: hash of the code that the trials ran through.
    seeds: each tuning trial is trained once per seed. space: what could be tried.
    budget: how many settings were to be tried; `trials` are those that were, and what counts. Of
        kind "row", the first has the values that the search started from.
    """

    kind: Literal["losses", "combiners", "row"]
    distribution: Name | None = None
    name: Name | None = None
    setting_sha256: Sha256
    code_sha256: Sha256
    budget: Small
    seeds: Annotated[list[Small], Field(min_length=1)]
    space: dict[str, JsonValue]
    sampler: Name
    trials: list[TuningTrial]

    @model_validator(mode="after")
    def _consistent(self) -> TuningRecord:
        named = self.distribution is not None and self.name is not None
        if named != (self.kind != "row"):
            raise ValueError(
                f"a tuning record of kind {self.kind} has a name and a distribution, "
                f"and one of kind row has neither"
            )
        if len(self.trials) > self.budget:
            raise ValueError(
                f"{len(self.trials)} tuning trials are more than the budget of {self.budget}"
            )
        return self

    @property
    def best(self) -> TuningTrial | None:
        """The tuning trial with the best validation MAP@R, the earliest of equal ones."""
        scored = [trial for trial in self.trials if trial.validation_map_at_r is not None]
        return max(scored, key=lambda trial: trial.validation_map_at_r, default=None)
