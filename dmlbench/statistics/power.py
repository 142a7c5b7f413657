"""How large a difference must be for a planned comparison to see it. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from dmlbench.statistics.intervals import Key


class Components(NamedTuple):
    """Standard deviations of a paired difference: between class splits, and within one."""

    between: float
    within: float


def variance_components(differences: Mapping[Key, float]) -> Components:
    """Standard deviations of (split, seed) -> difference, by the analysis of variance.

    A negative estimate between splits is 0. Splits may have different numbers of seeds. With one
    split `between` is NaN; raises `ValueError` where no split has two seeds.

        >>> found = variance_components({(0, 0): 1.0, (0, 1): 3.0, (1, 0): 5.0, (1, 1): 7.0})
        >>> round(found.between, 3), round(found.within, 3)
        (2.646, 1.414)
    """
    splits = sorted({split for split, _ in differences})
    groups = [np.array([v for k, v in differences.items() if k[0] == split]) for split in splits]
    spare = sum(len(group) - 1 for group in groups)
    if spare < 1:
        raise ValueError("Variance within a split needs a split with two seeds.")
    within = sum(float(((group - group.mean()) ** 2).sum()) for group in groups) / spare
    if len(groups) == 1:
        return Components(math.nan, math.sqrt(within))
    sizes = np.array([len(group) for group in groups], float)
    total = sizes.sum()
    grand = sum(float(group.sum()) for group in groups) / total
    means = np.array([group.mean() for group in groups])
    found = float((sizes * (means - grand) ** 2).sum()) / (len(groups) - 1)
    size = (total - (sizes**2).sum() / total) / (len(groups) - 1)
    return Components(math.sqrt(max(0.0, (found - within) / size)), math.sqrt(within))


def power(difference: float, deviation: float, units: int, level: float = 0.05) -> float:
    """The probability that a two-sided paired t-test over `units` finds a true difference.

    deviation: standard deviation of one unit's difference. level: of significance.
    """
    from scipy.special import nctdtr, stdtrit

    if units < 2:
        return 0.0
    freedom = units - 1
    critical = float(stdtrit(freedom, 1 - level / 2))
    shift = abs(difference) / deviation * math.sqrt(units)
    return float(1 - nctdtr(freedom, shift, critical) + nctdtr(freedom, shift, -critical))


def smallest_seen(
    deviation: float, units: int, level: float = 0.05, probability: float = 0.8
) -> float | None:
    """The smallest true difference that is found with this probability; None under three units.

    level: of the comparison itself; divide it by their number for the strictest step of Holm's
        correction.

        >>> round(smallest_seen(1.0, 10), 3)
        0.996
    """
    if units < 3:
        return None
    low, high = 0.0, deviation
    while power(high, deviation, units, level) < probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        reached = power(middle, deviation, units, level) >= probability
        low, high = (low, middle) if reached else (middle, high)
    return high


def deviation_of_unit(components: Components, seeds: int) -> float:
    """Standard deviation of a split's mean difference over so many seeds."""
    return math.sqrt(components.between**2 + components.within**2 / seeds)


class Spread(NamedTuple):
    """An estimated standard deviation, with the interval that the data leave to the true one.

    freedom: degrees of freedom of its variance. low, high: the interval.
    """

    value: float
    freedom: float
    low: float
    high: float


def spread(value: float, freedom: float, confidence: float = 0.9) -> Spread:
    """Interval of a standard deviation: its variance follows chi-squared, for normal data.

    >>> [round(end, 2) for end in spread(1.0, 4)[2:]]
    [0.65, 2.37]
    """
    from scipy.special import chdtri

    ends = (chdtri(freedom, (1 - sign * confidence) / 2) for sign in (1, -1))
    low, high = (value * math.sqrt(freedom / end) for end in ends)
    return Spread(value, freedom, low, high)


def unit_spread(differences: Mapping[Key, float], seeds: int, confidence: float = 0.9) -> Spread:
    """How a unit's mean difference over `seeds` spreads, by (unit, seed) -> difference.

    With as many seeds in the data, this is the variance between the units' means, and its degrees
    of freedom are the units less one; with others, they follow Satterthwaite (1946). A negative
    estimate between units is 0. Of one unit only the spread within it is known, so the units of
    the plan are its seeds. Of units with one seed each the spread is theirs, which is too large for
    more seeds. Raises `ValueError` for fewer than two differences.
    """
    units = sorted({unit for unit, _ in differences})
    spare = len(differences) - len(units)
    if len(differences) < 2:
        raise ValueError("A spread needs two differences.")
    if spare == 0:
        return spread(float(np.std(list(differences.values()), ddof=1)), len(units) - 1, confidence)
    components = variance_components(differences)
    if len(units) == 1:
        return spread(components.within, spare, confidence)
    # The estimate is a sum of two mean squares: of the units' means, and within units.
    each = len(differences) / len(units)
    shares = (
        (components.between**2 + components.within**2 / each, len(units) - 1),
        (components.within**2 * (1 / seeds - 1 / each), spare),
    )
    value = deviation_of_unit(components, seeds)
    weight = sum(part**2 / freedom for part, freedom in shares)
    return spread(value, value**4 / weight if weight else len(units) - 1, confidence)


def interaction_spread(values: np.ndarray, confidence: float = 0.9) -> Spread:
    """How the difference of two rows spreads over units, if all rows vary alike.

    values: (rows, units), two of each or more. The variance that remains beside the means of rows
    and of units (two-way analysis of variance) is that of one row; a difference has twice as much.
    More rows give more degrees of freedom: (rows - 1)(units - 1).
    """
    rest = values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
    freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
    return spread(math.sqrt(2 * float((rest**2).sum()) / freedom), freedom, confidence)
