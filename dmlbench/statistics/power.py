"""How large a difference must be for a planned comparison to see it. Pure functions of numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
    # The opposite tail is under 1e-9 from here on, where SciPy may give NaN.
    opposite = nctdtr(freedom, shift, -critical) if shift < 5 else 0.0
    return float(1 - nctdtr(freedom, shift, critical) + opposite)


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


def difference_spread(
    rows: Sequence[Mapping[Key, float]], seeds: int, confidence: float = 0.9
) -> Spread:
    """How a unit's mean difference of two rows over `seeds` spreads, if all rows vary alike.

    rows: (unit, seed) -> value, two or more; their common trials count, paired by seed. Beside the
    means of rows, units and seeds, two mean squares remain (analysis of variance): of rows by
    units, and of rows by seeds within units. Their sum gives a row's variance over a unit of
    `seeds`, a difference has twice as much, and Satterthwaite (Biometrics 1946) its degrees of
    freedom: with two rows and `seeds` in the data, the units less one; with more rows, more. A
    negative estimate between units is 0. Of one unit only the spread within it is known, so the
    units of the plan are its seeds. Of units with one seed each the spread is theirs, too large for
    more seeds.
    Raises `ValueError` for fewer than two rows, or two common trials.
    """
    keys = sorted(set.intersection(*(set(row) for row in rows)))
    if len(rows) < 2 or len(keys) < 2:
        raise ValueError("A spread needs two rows with two trials in common.")
    units = sorted({unit for unit, _ in keys})
    values = [np.array([[row[k] for k in keys if k[0] == unit] for row in rows]) for unit in units]
    spare = len(rows) - 1
    freedom_within = spare * (len(keys) - len(units))
    within = sum(float((_interaction(v) ** 2).sum()) for v in values) / max(1, freedom_within)
    if len(units) == 1:
        return spread(math.sqrt(2 * within), freedom_within, confidence)
    means = np.array([unit.mean(axis=1) for unit in values]).T
    freedom = spare * (len(units) - 1)
    between = float((_interaction(means) ** 2).sum()) / freedom
    each = float(np.mean([1 / unit.shape[1] for unit in values]))
    if not freedom_within:
        return spread(math.sqrt(2 * between), freedom, confidence)
    # Where rows by units vary less than by chance, chance is what is left.
    between = max(between, within * each)
    parts = ((between, freedom), (within * (1 / seeds - each), freedom_within))
    variance = sum(part for part, _ in parts)
    weight = sum(part**2 / of for part, of in parts)
    return spread(math.sqrt(2 * variance), variance**2 / weight if weight else freedom, confidence)


def _interaction(values: np.ndarray) -> np.ndarray:
    """What remains of (rows, columns) beside the means of both."""
    return values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()
