"""Planned contrasts between rows that were trained on the same trials, and what they are made of.

Legend: U units: class splits, or trials where all are of one split.

The value of "the best of several rows" is estimated without the luck of the choice: at each unit it
is the value of the row that is best on the other units (cross-fitting). The maximum of the means
would flatter a set of rows the more rows it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dmlbench.statistics.intervals import FEWEST_PAIRS, ROUNDING, Interval, Key, mean_interval

Row = Mapping[Key, float]


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The best of some rows minus the best of others, over the trials that all of them have.

    mean, low, high: cross-fitted, with Student's 95 % interval over units; None for fewer than two
        units.
    p_better, p_worse: two-sided scale, uncorrected for other contrasts. p_better is the largest
        over the rows that must be beaten, each of them (intersection-union test, Berger 1982);
        p_worse is corrected for the choice among them (Bonferroni). p_lead: of the hypothesis that
        the lead is `smallest` or more; p_less: that it is less. None under three units.
    wide_low, wide_high: the interval widened for class splits that share classes (Nadeau and
        Bengio, Inference for the generalization error, Machine Learning 2003), for classes outside
        of the dataset; None where there is one split, and for independent units.
    units, trials: how many of each. of, over: index of the best row by its mean, for display.
    """

    mean: float | None
    low: float | None
    high: float | None
    wide_low: float | None
    wide_high: float | None
    p_better: float | None
    p_worse: float | None
    p_lead: float | None
    p_less: float | None
    units: int
    trials: int
    of: int
    over: int


def contrast(
    of: Sequence[Row],
    over: Sequence[Row],
    smallest: float = 0.0,
    independent: bool = False,
    confidence: float = 0.95,
) -> Contrast:
    """Compare the best of `of` with the best of `over`, paired over their common trials.

    of, over: rows, (unit, seed) -> value. With one row on each side this is the paired difference.
    smallest: the smallest lead that matters. independent: whether units share no classes, as
        replicates of a dataset, and unlike class splits.
    Raises `ValueError` where a side has no row, or no trial is common to all.

        >>> a, b, c = ({(0, s): base + 0.01 * s for s in range(4)} for base in (0.5, 0.4, 0.3))
        >>> found = contrast([a], [b, c])
        >>> round(found.mean, 6), found.p_better, found.over
        (0.1, 0.0, 0)
    """
    if not of or not over:
        raise ValueError("A contrast needs a row on each side.")
    values, keys = unit_values([*of, *over])
    ours, theirs = values[: len(of)], values[len(of) :]
    differences = best_of(ours) - best_of(theirs)
    mean, low, high = mean_interval(differences.tolist(), confidence)
    splits = {split for split, _ in keys}
    wide_low = wide_high = None
    if len(splits) > 1 and high is not None and not independent:
        # Halves: as many test classes as training classes.
        half = (high - mean) * math.sqrt(1 + len(splits))
        wide_low, wide_high = mean - half, mean + half
    p_better = p_worse = p_lead = p_less = None
    if len(differences) >= FEWEST_PAIRS:
        chosen = best_of(ours)
        one_sided = [_upper_p(chosen - row) for row in theirs]
        p_better = min(1.0, 2 * max(one_sided))
        opposite = [_upper_p(row - chosen) for row in theirs]
        p_worse = min(1.0, 2 * len(theirs) * min(opposite))
        p_lead = min(1.0, 2 * _upper_p(smallest - differences))
        p_less = min(1.0, 2 * _upper_p(differences - smallest))
    return Contrast(
        mean=mean,
        low=low,
        high=high,
        wide_low=wide_low,
        wide_high=wide_high,
        p_better=p_better,
        p_worse=p_worse,
        p_lead=p_lead,
        p_less=p_less,
        units=len(differences),
        trials=len(keys),
        of=int(np.argmax(ours.mean(axis=1))),
        over=int(np.argmax(theirs.mean(axis=1))),
    )


def decomposition(levels: Sequence[Sequence[Row]], confidence: float = 0.95) -> list[Interval]:
    """What each level adds to the one before, then the whole, each with its interval.

    levels: rows of each level, of which the best counts, cross-fitted. The steps add up to the last
        interval's mean exactly: all are over the trials that every row of every level has.
    Raises `ValueError` for fewer than two levels, an empty one, or no common trial.
    """
    if len(levels) < 2 or not all(levels):
        raise ValueError("A decomposition needs two levels or more, each with a row.")
    values, _ = unit_values([row for level in levels for row in level])
    ends = np.cumsum([len(level) for level in levels])
    chosen = [
        best_of(values[end - len(level) : end]) for end, level in zip(ends, levels, strict=True)
    ]
    steps = [after - before for before, after in zip(chosen, chosen[1:], strict=False)]
    whole = chosen[-1] - chosen[0]
    return [mean_interval(step.tolist(), confidence) for step in [*steps, whole]]


def unit_values(rows: Sequence[Row]) -> tuple[np.ndarray, list[Key]]:
    """Values (rows, U) over the trials that all rows have, and these trials in order.

    Raises `ValueError` where there is none.
    """
    keys = sorted(set.intersection(*(set(row) for row in rows)))
    if not keys:
        raise ValueError("The rows have no trial in common.")
    splits = sorted({split for split, _ in keys})
    if len(splits) == 1:
        return np.array([[row[key] for key in keys] for row in rows]), keys
    means = [
        [math.fsum(v := [row[k] for k in keys if k[0] == split]) / len(v) for split in splits]
        for row in rows
    ]
    return np.array(means), keys


def best_of(values: np.ndarray) -> np.ndarray:
    """(U,) at each unit, the value of the row that has the best mean over the other units.

    values: (rows, U). With one unit it is the best row's.
    """
    if len(values) == 1:
        return values[0]
    units = values.shape[1]
    if units == 1:
        return values[np.argmax(values, axis=0), [0]]
    others = (values.sum(axis=1, keepdims=True) - values) / (units - 1)
    return values[np.argmax(others, axis=0), np.arange(units)]


def _upper_p(differences: np.ndarray) -> float:
    """One-sided p-value of mean(differences) > 0 by Student's t."""
    from scipy.special import stdtr

    mean = float(differences.mean())
    if float(np.ptp(differences)) <= ROUNDING:
        return 0.0 if mean > ROUNDING else (1.0 if mean < -ROUNDING else 0.5)
    error = float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return float(stdtr(len(differences) - 1, -mean / error))
