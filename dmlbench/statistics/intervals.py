"""Means, intervals and comparisons over trials. Pure functions of numbers.

Intervals are those of Student's t and are not clipped: the low end of a metric near 0 may be
negative, so an interval stays symmetric and its half-width can be recovered. Tables show
mean ± half-width; plots cut at 0 and 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

#: Differences of fractions that are closer than this are rounding, not variance.
ROUNDING = 1e-12
# With two differences an interval is so wide that it separates by luck alone, and equal ones, which
# have no width, would separate always.
FEWEST_PAIRS = 3

#: (class split, seed): what names a trial of an entry, and pairs those of two.
Key = tuple[int, int]


class Interval(NamedTuple):
    """A mean with its confidence interval; `low` and `high` are None for fewer than two values."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """a − b over the trials that both have: mean, interval, two-sided p-value of a paired t-test.

    trials: (split, seed). Where they are of several class splits, a split's mean difference is one
    observation: the trials of a split share its classes and are not independent evidence.
    Without a common trial everything is None; with one observation there is a mean but no interval,
    and with two no p-value.
    """

    trials: tuple[Key, ...]
    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def n(self) -> int:
        """How many trials are paired."""
        return len(self.trials)

    @property
    def num_splits(self) -> int:
        return len({split for split, _ in self.trials})

    @property
    def num_units(self) -> int:
        """How many observations there are: trials, or class splits where there are several."""
        return self.num_splits if self.num_splits > 1 else self.n


def by_unit(values: Mapping[Key, float]) -> list[float]:
    """(split, seed) -> value as independent observations, in order.

    Each trial is one; where there are several splits, the mean over the seeds of each.

        >>> by_unit({(0, 0): 1.0, (0, 1): 2.0}), by_unit({(0, 0): 1.0, (0, 1): 2.0, (1, 0): 4.0})
        ([1.0, 2.0], [1.5, 4.0])
    """
    splits = sorted({split for split, _ in values})
    if len(splits) < 2:
        return [values[key] for key in sorted(values)]
    groups = [[value for key, value in values.items() if key[0] == split] for split in splits]
    return [math.fsum(group) / len(group) for group in groups]


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Mean and Student t interval: mean ± t_{(1+confidence)/2, n−1} · s / √n.

    values: one number a seed; confidence: between 0 and 1.
    Raises `ValueError` without values, for values that are not finite, or for no confidence.

        >>> mean, low, high = mean_interval([0.50, 0.52, 0.54])
        >>> f"{mean:.2f}, {low:.3f} to {high:.3f}"
        '0.52, 0.470 to 0.570'
    """
    if not values:
        raise ValueError("A mean needs at least one value.")
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"A mean needs finite values: {list(values)}.")
    if not 0 < confidence < 1:
        raise ValueError(f"The confidence must be between 0 and 1, not {confidence}.")
    mean, error = _mean_and_standard_error(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def paired_difference(
    a: Mapping[Key, float], b: Mapping[Key, float], confidence: float = 0.95
) -> PairedDifference:
    """Compare two rows over the trials they share; pairing removes what a trial does to both.

    a, b: (split, seed) -> value. Where all differences are equal the interval has no width and p is
    0, or 1 if they are all 0. Fewer observations than `FEWEST_PAIRS` are never tested.

        >>> a = {(0, 0): 0.5, (0, 1): 0.6, (0, 2): 0.7}
        >>> found = paired_difference(a, {(0, 0): 0.4, (0, 1): 0.4, (0, 2): 0.6, (0, 3): 0.1})
        >>> found.trials, round(found.mean, 3), round(found.p_value, 3)
        (((0, 0), (0, 1), (0, 2)), 0.133, 0.057)
    """
    trials = tuple(sorted(a.keys() & b.keys()))
    if not trials:
        return PairedDifference(trials=(), mean=None, low=None, high=None, p_value=None)
    differences = by_unit({key: a[key] - b[key] for key in trials})
    mean, low, high = mean_interval(differences, confidence)
    p_value = None
    if len(differences) >= FEWEST_PAIRS:
        _, error = _mean_and_standard_error(differences)
        if error == 0:
            p_value = 1.0 if abs(mean) <= ROUNDING else 0.0
        else:
            from scipy.special import stdtr

            p_value = float(2 * stdtr(len(differences) - 1, -abs(mean) / error))
    return PairedDifference(trials=trials, mean=mean, low=low, high=high, p_value=p_value)


@dataclass(frozen=True)
class Difference:
    """A difference of two means with its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0 <= self.high


def welch_difference(
    a: Sequence[float], b: Sequence[float], confidence: float = 0.95
) -> Difference:
    """mean(a) − mean(b) of two independent samples that may vary differently.

    Student t interval with the degrees of freedom of Welch (Biometrika 1947) and Satterthwaite.
    Raises `ValueError` for fewer than two values on a side.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"Both sides need two values or more, not {len(a)} and {len(b)}.")
    (mean_a, error_a), (mean_b, error_b) = map(_mean_and_standard_error, (a, b))
    mean, variance = mean_a - mean_b, error_a**2 + error_b**2
    if variance == 0:
        mean = 0.0 if abs(mean) <= ROUNDING else mean
        return Difference(mean, mean, mean)
    from scipy.special import stdtrit

    freedom = variance**2 / (error_a**4 / (len(a) - 1) + error_b**4 / (len(b) - 1))
    half = float(stdtrit(freedom, (1 + confidence) / 2)) * math.sqrt(variance)
    return Difference(mean, mean - half, mean + half)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: adjusted p-values, in the order given, at most 1.

    None stays None and is not a comparison.
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J. Statistics 1979.

        >>> holm([0.01, 0.04, None, 0.03])
        [0.03, 0.06, None, 0.06]
    """
    adjusted: list[float | None] = [None] * len(p_values)
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    largest = 0.0
    for step, (p, index) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - step) * p))
        adjusted[index] = largest
    return adjusted


def _mean_and_standard_error(values: Sequence[float]) -> tuple[float, float]:
    if max(values) - min(values) <= ROUNDING:
        # The exact value, so equal trials give an interval of exactly no width.
        return float(values[0]), 0.0
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, math.sqrt(variance / n)
