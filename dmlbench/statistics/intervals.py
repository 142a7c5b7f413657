"""Means, intervals and comparisons over seeds. Pure functions of numbers.

Intervals are those of Student's t and are not clipped: the low end of a metric near 0 may be
negative, so that an interval stays symmetric and its half-width can be recovered. Tables show
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


class Interval(NamedTuple):
    """A mean with its confidence interval; `low` and `high` are None for fewer than two values."""

    mean: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """a − b over the seeds that both have: mean, interval and two-sided p-value of a paired t-test.

    Without a common seed everything is None; with one there is a mean but no interval, and with two
    no p-value.
    """

    seeds: tuple[int, ...]
    mean: float | None
    low: float | None
    high: float | None
    p_value: float | None

    @property
    def n(self) -> int:
        return len(self.seeds)


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
        raise ValueError(f"The confidence lies between 0 and 1, not {confidence}.")
    mean, error = _mean_and_standard_error(values)
    if len(values) < 2:
        return Interval(mean, None, None)
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * error
    return Interval(mean, mean - half, mean + half)


def paired_difference(
    a: Mapping[int, float], b: Mapping[int, float], confidence: float = 0.95
) -> PairedDifference:
    """Compare two rows over the seeds they share; pairing removes what a seed does to both.

    a, b: seed -> value. Where all differences are equal the interval has no width and p is 0,
    or 1 if they are all 0. Fewer than `FEWEST_PAIRS` are never tested.

        >>> found = paired_difference({0: 0.5, 1: 0.6, 2: 0.7}, {0: 0.4, 1: 0.4, 2: 0.6, 3: 0.1})
        >>> found.seeds, round(found.mean, 3), round(found.p_value, 3)
        ((0, 1, 2), 0.133, 0.057)
    """
    seeds = tuple(sorted(a.keys() & b.keys()))
    if not seeds:
        return PairedDifference(seeds=(), mean=None, low=None, high=None, p_value=None)
    differences = [a[seed] - b[seed] for seed in seeds]
    mean, low, high = mean_interval(differences, confidence)
    p_value = None
    if len(seeds) >= FEWEST_PAIRS:
        _, error = _mean_and_standard_error(differences)
        if error == 0:
            p_value = 1.0 if abs(mean) <= ROUNDING else 0.0
        else:
            from scipy.special import stdtr

            p_value = float(2 * stdtr(len(seeds) - 1, -abs(mean) / error))
    return PairedDifference(seeds=seeds, mean=mean, low=low, high=high, p_value=p_value)


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


def ranks(
    intervals: Sequence[tuple[float, float] | None], of: Sequence[object] | None = None
) -> list[int | None]:
    """Rank rows by their intervals: 1 + the configurations whose interval lies entirely above.

    Rows that do not separate from the best share rank 1. A row without an interval gets None and
    does not count against others. Touching intervals do not separate.
    of: what each row is a claim about. Several claims about one configuration count once, and
        only if all of them lie above; they never count against each other.

        >>> ranks([(8, 9), (5, 6), (5.5, 7), None])
        [1, 2, 2, None]
    """
    of = list(range(len(intervals))) if of is None else of
    # The claim that lies lowest decides whether a configuration lies above.
    lowest: dict[object, float] = {}
    for key, interval in zip(of, intervals, strict=True):
        if interval is not None:
            lowest[key] = min(lowest.get(key, math.inf), interval[0])
    return [
        None if interval is None else 1 + sum(low > interval[1] for low in lowest.values())
        for interval in intervals
    ]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction: adjusted p-values, in the order given, at most 1.

    None stays None and is no comparison.
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
        # The exact value, so that equal trials give an interval of exactly no width.
        return float(values[0]), 0.0
    n = len(values)
    mean = math.fsum(values) / n
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    return mean, math.sqrt(variance / n)
