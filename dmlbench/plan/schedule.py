"""The learning rate over a run: a factor on every rate, by step and by validation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from dmlbench.errors import UsageError

#: The values that a schedule reads, beside `warmup_epochs`.
_READ = {
    "constant": (),
    "cosine": (),
    "polynomial": ("decay_from", "decay_to", "power", "final"),
    "step": ("milestones", "factor"),
    "plateau": ("patience", "factor"),
}


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Learning-rate factor over the steps: linear warm-up, then `name`.

    name: constant; cosine, down to 0 at the end; polynomial, constant, then down to `final`, and
        constant again (a trapezoid, if linear); step, times `factor` at each of `milestones`;
        plateau, times `factor` wherever validation has not become better for `patience` epochs.
    warmup_epochs: of linear warm-up.
    decay_from, decay_to: shares of the run at which the polynomial begins and ends.
    power: of the polynomial; 1 is linear.
    final: the factor at its end.
    milestones: epochs after which the rate steps, ascending.
    patience: epochs, counted from the best one or from the last reduction.
    """

    name: Literal["constant", "cosine", "polynomial", "step", "plateau"] = "cosine"
    warmup_epochs: float = 0.0
    decay_from: float = 0.0
    decay_to: float = 1.0
    power: float = 1.0
    final: float = 0.0
    milestones: tuple[int, ...] = ()
    patience: int = 10
    factor: float = 0.1

    def check(self, epochs: int, validate_every: int) -> None:
        """Raise `UsageError` for a value out of range, or one that this schedule does not read."""
        if not 0 <= self.warmup_epochs <= epochs:
            raise UsageError(
                f"recipe.schedule.warmup_epochs must be between 0 and recipe.epochs "
                f"({epochs}), not {self.warmup_epochs}."
            )
        for spec in dataclasses.fields(self)[2:]:
            readers = [name for name, read in _READ.items() if spec.name in read]
            if getattr(self, spec.name) != spec.default and self.name not in readers:
                raise UsageError(
                    f"recipe.schedule.{spec.name} has nothing to act on in the schedule "
                    f"{self.name}. Leave it out, or set recipe.schedule.name={readers[0]}."
                )
        if not 0 <= self.decay_from < self.decay_to <= 1:
            raise UsageError(
                f"recipe.schedule.decay_from and decay_to must be ascending shares of the run, "
                f"between 0 and 1, not {self.decay_from} and {self.decay_to}."
            )
        if self.warmup_epochs >= self.decay_to * epochs and self.name == "polynomial":
            raise UsageError(
                f"recipe.schedule.warmup_epochs ({self.warmup_epochs}) must end before the decay, "
                f"at epoch {self.decay_to * epochs:g}."
            )
        if not 0 < self.power < float("inf"):
            raise UsageError(f"recipe.schedule.power must be positive, not {self.power}.")
        if not 0 <= self.final < 1:
            raise UsageError(f"recipe.schedule.final must be from 0 to below 1, not {self.final}.")
        if not 0 < self.factor < 1:
            raise UsageError(f"recipe.schedule.factor must be between 0 and 1, not {self.factor}.")
        if self.name == "step":
            self._check_milestones(epochs)
        if self.name == "plateau" and self.patience < validate_every:
            raise UsageError(
                f"recipe.schedule.patience must be at least recipe.validate_every "
                f"({validate_every}), not {self.patience}."
            )

    def rate(
        self, step: int, steps_per_epoch: int, epochs: int, validation: Sequence[float | None]
    ) -> float:
        """Return the factor at `step`, counted from 0 over the whole run.

        validation: MAP@R after each finished epoch, None where there was no validation.
        """
        total = epochs * steps_per_epoch
        warm = self.warmup_epochs * steps_per_epoch
        if step < warm:
            return (step + 1) / (warm + 1)
        match self.name:
            case "cosine":
                return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
            case "polynomial":
                start, end = max(warm, self.decay_from * total), self.decay_to * total
                left = min(1.0, max(0.0, (end - step) / (end - start)))
                return self.final + (1 - self.final) * left**self.power
            case "step":
                passed = sum(step >= epoch * steps_per_epoch for epoch in self.milestones)
                return self.factor**passed
            case "plateau":
                return self.factor ** reductions(validation, self.patience)
            case _:
                return 1.0

    def _check_milestones(self, epochs: int) -> None:
        ascending = all(a < b for a, b in zip((0, *self.milestones), self.milestones, strict=False))
        if not self.milestones or not ascending or self.milestones[-1] >= epochs:
            raise UsageError(
                f"recipe.schedule.milestones must be ascending epochs between 1 and "
                f"{epochs - 1}, such as [{max(1, epochs // 2)}], not {list(self.milestones)}."
            )


def without_others(values: Mapping[str, Any], name: object) -> dict[str, Any]:
    """Return a schedule's values without those that only schedules other than `name` read."""
    own = _READ.get(name, ()) if isinstance(name, str) else ()
    others = {key for read in _READ.values() for key in read} - set(own)
    return {key: value for key, value in values.items() if key not in others}


def reductions(validation: Sequence[float | None], patience: int) -> int:
    """Count the plateaus: `patience` epochs in which the best validation did not become better."""
    best, since, count = -math.inf, 0, 0
    for value in validation:
        since += 1
        if value is not None and value > best:
            best, since = value, 0
        elif value is not None and since >= patience:
            since, count = 0, count + 1
    return count
