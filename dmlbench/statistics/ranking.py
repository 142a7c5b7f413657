"""Ranks as confidence sets: from which rows of a board a row is told apart, and by how much.

Legend: n rows, U units: trials, or class splits where there are several.

A board's value is row + unit + noise, with a variance of its own for each row: some losses collapse
under some seeds. Five trials tell a variance badly, and a paired t-test over five trials sees only
huge differences once it is corrected for sixty rows. Rows therefore lend each other information on
their variances (empirical Bayes), as genes do in Smyth (Statistical Applications in Genetics and
Molecular Biology 2004), within limits that simulations show to be needed
(benchmarks/rank_simulation.py): the borrowed degrees of freedom are halved, a row whose variance is
suspiciously large keeps its own, and a pair whose differences vary more than its two rows say is
judged by its differences as well.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dmlbench.statistics.intervals import ROUNDING, Key

#: A row needs so many trials for a rank.
FEWEST_RANKED = 5
LEVEL = 0.05
POWER = 0.8
#: With fewer rows there is not enough to borrow from: plain paired t-tests.
_FEWEST_ROWS = 10
# A row with more than three times the median noise is not typical: so many times the variance.
_TYPICAL = 9.0
# A row whose variance would be exceeded so rarely by a row of the board keeps its own.
_WILD = 0.15
# Degrees of freedom of a row's own variance from which on it tells of the board's.
_TELLING = 0.5
# Share of the estimated prior degrees of freedom that is used.
_PRIOR = 0.5
# Pairs of rows that the smallest difference is computed from.
_MANY_PAIRS = 200_000
# Degrees of freedom of a prior that the data say is exact.
_EXACT = 1e4


class RankRange(NamedTuple):
    """The ranks that a row may have, from the best to the worst."""

    low: int
    high: int


def rank_ranges(
    rows: Sequence[Mapping[Key, float]], of: Sequence[Hashable] | None = None
) -> list[RankRange]:
    """For each row the range 1 + (rows significantly better) to n − (rows significantly worse).

    The range contains the row's true rank with a probability of at least 95 %: two-sided tests of
    the row against every other one, corrected after Holm over that row's own comparisons (Mogstad,
    Romano, Shaikh and Wilhelm, Review of Economic Studies 2024). It says nothing about other rows'
    ranges holding at the same time.

    rows: (split, seed) -> value, of `FEWEST_RANKED` trials or more each.
    of: what each row is a submission of. Several of one configuration count as one row, which is
        better or worse than another only if all of them are; they are never compared.

        >>> board = [{(0, s): base + 0.01 * s for s in range(5)} for base in (0.5, 0.5, 0.3)]
        >>> [tuple(found) for found in rank_ranges(board)]
        [(1, 2), (1, 2), (3, 3)]
    """
    signs = separations(rows, of)
    above, below, count = (signs < 0).sum(axis=1), (signs > 0).sum(axis=1), signs.shape[1]
    return [RankRange(1 + int(b), count - int(w)) for b, w in zip(above, below, strict=True)]


def separations(
    rows: Sequence[Mapping[Key, float]], of: Sequence[Hashable] | None = None
) -> np.ndarray:
    """(n, C) int: 1 where a row is significantly better than a configuration, −1 where worse.

    Arguments as for `rank_ranges`; the C configurations in the order of their first rows.
    """
    keys = list(range(len(rows))) if of is None else list(of)
    configurations = list(dict.fromkeys(keys))
    found = np.zeros((len(rows), len(configurations)), int)
    if len(configurations) < 2:
        return found
    tests = _tests(_units(rows))
    largest, common = tests.p_values(), np.sign(tests.means).astype(np.int8)
    of_row = _numbered(keys)
    if len(configurations) < len(keys):
        largest, common = _of_configurations(largest, common, of_row, len(configurations))
    for row, own in enumerate(of_row):
        others = np.arange(len(configurations)) != own
        rejected = _holm_rejects(largest[row, others], LEVEL)
        found[row, others] = np.where(rejected, common[row, others], 0)
    return found


def _numbered(keys: Sequence[Hashable]) -> np.ndarray:
    places = {name: c for c, name in enumerate(dict.fromkeys(keys))}
    return np.array([places[key] for key in keys])


def _of_configurations(
    p_values: np.ndarray, signs: np.ndarray, of_row: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """From those of every two rows, (n, C) the largest p-value and the sign that all have."""
    shape = len(of_row), count
    largest, low, high = np.zeros(shape), np.full(shape, 1), np.full(shape, -1)
    np.maximum.at(largest.T, of_row, p_values.T)
    np.minimum.at(low.T, of_row, signs.T)
    np.maximum.at(high.T, of_row, signs.T)
    return largest, np.where(low == high, low, 0)


def smallest_difference(
    rows: Sequence[Mapping[Key, float]], of: Sequence[Hashable] | None = None
) -> float | None:
    """The true difference of two typical rows that such a board finds with 80 % power.

    Under the first, strictest, step of Holm's correction over a row's comparisons with the other
    configurations. Typical is a row with at most three times the median noise. What is unknown of
    the noise counts: the power is that of another board with as many rows and trials, on average
    over what this one could have estimated (benchmarks/rank_simulation.py --power).

    Arguments as for `rank_ranges`. None for fewer than two configurations, or where no two typical
    rows of different ones have two trials in common.
    """
    keys = list(range(len(rows))) if of is None else list(of)
    num_others = len(set(keys)) - 1
    if num_others < 1:
        return None
    from scipy.special import ndtr, stdtrit

    values = _units(rows)
    tests, noise = _tests(values), _spread(values).own
    typical = noise <= _TYPICAL * np.median(noise)
    of_row = _numbered(keys)
    used = (of_row[:, None] != of_row) & typical[:, None] & typical & (tests.counts > 1)
    pairs = np.flatnonzero(np.triu(used, 1))
    if not len(pairs):
        return None
    # Of very many, as many evenly spaced ones say the same.
    pairs = pairs[:: max(1, len(pairs) // _MANY_PAIRS)]
    errors, freedoms = tests.errors.ravel()[pairs], tests.freedoms.ravel()[pairs]
    error = float(np.sqrt(np.mean(errors**2)))
    if error <= ROUNDING:
        return 0.0
    critical = stdtrit(freedoms, 1 - LEVEL / 2 / num_others)
    if len(rows) >= _FEWEST_ROWS:
        # Of so many pairs, the limits that their differences have to pass are a sample of what
        # another board would ask for.
        return _with_power(lambda d: ndtr((d - critical * errors) / error), error)
    freedom = float(np.median(freedoms))
    estimated = _estimates(freedom * max(1, int(typical.sum()) - 1))
    tested = float(np.median(critical)) * _estimates(freedom)[:, None]
    return _with_power(lambda d: ndtr(d / error * estimated - tested), error)


def _with_power(power: Callable[[float], np.ndarray], unit: float) -> float:
    """The difference at which the mean of `power`, which rises with it, is `POWER`; bisected."""
    low, high = 0.0, unit
    while power(high).mean() < POWER:
        low, high = high, 2 * high
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if power(middle).mean() < POWER else (low, middle)
    return high


def _estimates(freedom: float) -> np.ndarray:
    """Equally likely estimates (64,) of a standard deviation of 1 with `freedom` degrees."""
    from scipy.special import gammaincinv

    return np.sqrt(2 * gammaincinv(freedom / 2, (np.arange(64) + 0.5) / 64) / freedom)


@dataclass(frozen=True)
class _Spread:
    """Variances (n,) of rows, their degrees of freedom (n,), and those of the whole board.

    own: (n,) variances without what rows lend each other.
    borrowed: degrees of freedom of the prior; 0 where nothing is borrowed.
    """

    variances: np.ndarray
    own: np.ndarray
    freedoms: np.ndarray
    total: float
    borrowed: float


@dataclass(frozen=True)
class _Tests:
    """Of every two rows (n, n): mean difference, its standard error, degrees of freedom, units.

    counts: in how many units both have a value; with fewer than two there is no test.
    """

    means: np.ndarray
    errors: np.ndarray
    freedoms: np.ndarray
    counts: np.ndarray

    def p_values(self) -> np.ndarray:
        """(n, n), two-sided."""
        from scipy.special import stdtr

        exact = self.errors <= ROUNDING
        p_values = 2 * stdtr(self.freedoms, -np.abs(self.means) / np.where(exact, 1, self.errors))
        p_values = np.where(exact, 1.0 * (np.abs(self.means) <= ROUNDING), p_values)
        return np.where(self.counts < 2, 1.0, p_values)


def _units(rows: Sequence[Mapping[Key, float]]) -> np.ndarray:
    """Values (n, U), NaN where a row has none: of trials, or means over seeds of splits."""
    splits = sorted({split for row in rows for split, _ in row})
    if len(splits) > 1:
        means = [
            [[value for key, value in row.items() if key[0] == split] for split in splits]
            for row in rows
        ]
        return np.array([[np.mean(v) if v else np.nan for v in row] for row in means])
    keys = sorted({key for row in rows for key in row})
    return np.array([[row.get(key, np.nan) for key in keys] for row in rows])


def _tests(values: np.ndarray) -> _Tests:
    """Every two of the rows (n, U), compared over their common units."""
    # Unit by unit: (n, n, U) of a few thousand rows is more than memory holds.
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    common = there.astype(np.int32) @ there.T.astype(np.int32)
    counts = np.maximum(common, 2)
    means = np.zeros(common.shape)
    for unit, has in zip(filled.T, there.T, strict=True):
        means += _apart(unit, has)
    means /= counts
    own = np.zeros(common.shape)
    for unit, has in zip(filled.T, there.T, strict=True):
        own += (_apart(unit, has) - means * (has[:, None] & has)) ** 2
    own /= counts - 1
    if len(values) < _FEWEST_ROWS:
        variances, freedoms = own, counts - 1.0
    else:
        spread = _spread(values)
        first, second = spread.variances[:, None], spread.variances[None]
        variances = first + second
        # Welch (1947) and Satterthwaite.
        parts = first**2 / spread.freedoms[:, None] + second**2 / spread.freedoms[None]
        freedoms = np.minimum(variances**2 / np.where(parts > 0, parts, 1.0), spread.total)
        freedoms = np.where(parts > 0, freedoms, spread.total)
        # Rows whose noise is opposed (of two families, say) differ by more than their variances.
        weight = (counts - 1) / (counts - 1 + spread.borrowed)
        variances = np.maximum(variances, (1 - weight) * variances + weight * own)
    return _Tests(means, np.sqrt(variances / counts), freedoms, common)


def _apart(unit: np.ndarray, has: np.ndarray) -> np.ndarray:
    """The differences (n, n) in one unit; 0 where not both of two rows have a value."""
    return (unit[:, None] - unit) * (has[:, None] & has)


def _spread(values: np.ndarray) -> _Spread:
    """The rows' variances around row + unit, those that are typical drawn towards each other."""
    variances, freedoms = _own_variances(values, np.ones(len(values)))
    typical = np.median(variances)
    if typical > 0:
        # Rows that vary more say less about what a unit adds to all.
        weights = np.minimum(1.0, typical / np.maximum(variances, typical * 1e-6))
        variances, freedoms = _own_variances(values, weights)
    total = float(freedoms.sum())
    # A row that shares hardly a unit with others says nothing of what is typical.
    telling = freedoms >= _TELLING
    if telling.sum() < _FEWEST_ROWS or typical <= ROUNDING**2:
        return _Spread(variances, variances, freedoms, total, 0.0)
    from scipy.special import fdtrc

    floored = np.maximum(variances, 1e-4 * typical)
    prior, borrowed = _prior(floored[telling], freedoms[telling])
    borrowed *= _PRIOR
    drawn = (borrowed * prior + freedoms * floored) / (borrowed + freedoms)
    wild = fdtrc(freedoms, borrowed, floored / prior) < _WILD
    return _Spread(
        np.where(wild, np.maximum(floored, drawn), drawn),
        variances,
        np.minimum(np.where(wild, freedoms, freedoms + borrowed), total),
        total,
        borrowed,
    )


def _own_variances(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row's variance (n,) around row + unit, and its degrees of freedom (n,).

    weights: (n,), of the rows in the units' effects.
    """
    there = np.isfinite(values)
    filled = np.where(there, values, 0.0)
    counts = there.sum(axis=1)
    shares = there * weights[:, None]
    shares = shares / np.maximum(shares.sum(axis=0), 1e-300)  # (n, U)
    effects = np.zeros(values.shape[1])
    for _ in range(100):  # one step does where every row has every unit
        means = (filled - there * effects).sum(axis=1) / counts
        found = (shares * (filled - there * means[:, None])).sum(axis=0)
        settled = np.abs(found - effects).max() <= ROUNDING
        effects = found
        if settled:
            break
    residuals = there * (filled - means[:, None] - effects)
    freedoms = (there * (1 - shares)).sum(axis=1) * (counts - 1) / counts
    freedoms = np.maximum(freedoms, 1e-3)
    return (residuals**2).sum(axis=1) / freedoms, freedoms


def _prior(variances: np.ndarray, freedoms: np.ndarray) -> tuple[float, float]:
    """The typical variance and the degrees of freedom it is worth (Smyth 2004, section 6.2)."""
    from scipy.special import digamma, polygamma

    logs = np.log(variances) - digamma(freedoms / 2) + np.log(freedoms / 2)
    excess = float(logs.var(ddof=1) - polygamma(1, freedoms / 2).mean())
    mean = float(logs.mean())
    borrowed = min(_EXACT, 2 * _inverse_trigamma(excess)) if excess > 0 else _EXACT
    return float(np.exp(mean + digamma(borrowed / 2) - np.log(borrowed / 2))), borrowed


def _inverse_trigamma(value: float) -> float:
    """x with trigamma(x) = value > 0, by Newton's method on 1 / trigamma."""
    from scipy.special import polygamma

    if value < 1e-6:
        return 1 / value
    x = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, x))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, x))
        x += step
        if abs(step) < 1e-10 * x:
            break
    return x


def _holm_rejects(p_values: np.ndarray, level: float) -> np.ndarray:
    """Which of a row's comparisons Holm's step-down procedure rejects, (n − 1,) bool."""
    order = np.argsort(p_values, kind="stable")
    limits = level / np.arange(len(p_values), 0, -1)
    rejected = np.zeros(len(p_values), bool)
    rejected[order] = np.logical_and.accumulate(p_values[order] <= limits)
    return rejected
