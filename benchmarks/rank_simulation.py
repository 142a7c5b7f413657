"""How often ranks of a leaderboard are wrong, and how wide they are, on boards of known truth.

    python benchmarks/rank_simulation.py [--boards 100] [--power]

Prints a Markdown table. *False*: the chance that a row is separated from at least one row that is
as good as it (or is put on the wrong side of another), in percent: the mean over rows, and of the
odd row by itself (the better, wild or calm one). At most 5 is promised. *Width*: how many ranks a
row's range covers, on average. Both for the ranks of leaderboards (`dmlbench.statistics.ranking`)
and for paired t-tests with the same correction.

With --power, how often a difference of the size that `smallest_difference` gives for one board is
found on another of the same kind; 80 % is promised between typical rows.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr

from dmlbench.statistics.ranking import (
    FEWEST_RANKED,
    LEVEL,
    separations,
    smallest_difference,
)

Values = dict[tuple[int, int], float]


class Truth(NamedTuple):
    """Means and noise (n,) of a board's rows, in points; what varies with a trial by families.

    families: standard deviation of what half of the rows have in common in a trial.
    splits: over how many class splits the trials are spread, and the standard deviation of what a
        row gains or loses on a split.
    two_seeds: every second row has two trials. ranked: give such rows a rank all the same, which
        leaderboards do not.
    """

    means: np.ndarray
    noise: np.ndarray
    families: float = 0.0
    splits: int = 1
    by_split: float = 0.0
    two_seeds: bool = False
    ranked: bool = False


def _equal(n: int, rng: np.random.Generator) -> Truth:
    return Truth(np.zeros(n), np.full(n, 2.0))


def _odd(mean: float, noise: float) -> Callable[[int, np.random.Generator], Truth]:
    def truth(n: int, rng: np.random.Generator) -> Truth:
        first = np.arange(n) == 0
        return Truth(np.where(first, mean, 0.0), np.where(first, noise, 2.0))

    return truth


def _mixed(n: int, rng: np.random.Generator) -> Truth:
    return Truth(np.zeros(n), 2 * np.exp(0.8 * rng.normal(size=n)))


def _families(n: int, rng: np.random.Generator) -> Truth:
    return Truth(np.zeros(n), np.full(n, 2.0), families=2.0)


def _two_seeds(ranked: bool) -> Callable[[int, np.random.Generator], Truth]:
    def truth(n: int, rng: np.random.Generator) -> Truth:
        return Truth(np.zeros(n), np.full(n, 2.0), two_seeds=True, ranked=ranked)

    return truth


def _splits(count: int, odd: float = 2.0) -> Callable[[int, np.random.Generator], Truth]:
    def truth(n: int, rng: np.random.Generator) -> Truth:
        noise = np.where(np.arange(n) == 0, odd, 2.0)
        return Truth(np.zeros(n), noise, splits=count, by_split=2.0)

    return truth


def _field(n: int, rng: np.random.Generator) -> Truth:
    """As on the published board: means far apart, noise that differs between rows, one wild."""
    noise = 2 * np.exp(0.4 * rng.normal(size=n))
    noise[n // 2] = 16.0
    return Truth(np.linspace(35, 0, n), noise)


#: Name -> truth of a board. The first row is the odd one.
BOARDS: dict[str, Callable[[int, np.random.Generator], Truth]] = {
    "equal rows": _equal,
    "one better by 6": _odd(6.0, 2.0),
    "one wild (8 x the noise)": _odd(0.0, 16.0),
    "one restless (2.5 x)": _odd(0.0, 5.0),
    "one calm (0.25 x)": _odd(0.0, 0.5),
    "noise of all kinds": _mixed,
    "two families": _families,
    "every second row of two seeds": _two_seeds(ranked=False),
    "the same, all of them ranked": _two_seeds(ranked=True),
    "five splits": _splits(5),
    "three splits": _splits(3),
    "three splits, one restless (2.5 x)": _splits(3, 5.0),
    "means over 35 points, one wild": _field,
}


def draw(truth: Truth, trials: int, rng: np.random.Generator) -> np.ndarray:
    """One board's values (n, trials); the trials of split s are s, s + splits, ..."""
    n = len(truth.means)
    common = rng.normal(size=trials)
    family = truth.families * rng.normal(size=(2, trials))[np.arange(n) % 2]
    by_split = truth.by_split * rng.normal(size=(n, truth.splits))
    noise = truth.noise[:, None] * rng.normal(size=(n, trials))
    split = by_split[:, np.arange(trials) % truth.splits]
    return truth.means[:, None] + common + family + split + noise


def as_rows(values: np.ndarray, splits: int = 1) -> list[Values]:
    """Values (n, trials) as rows: (split, seed) -> value."""
    keys = [(trial % splits, trial // splits) for trial in range(values.shape[1])]
    return [dict(zip(keys, row, strict=True)) for row in values.tolist()]


def board_rows(truth: Truth, values: np.ndarray) -> tuple[list[int], list[Values]]:
    """The rows that are ranked: their places among the n, and their values."""
    rows = as_rows(values, truth.splits)
    if truth.two_seeds:
        rows = [dict([*row.items()][:2]) if i % 2 else row for i, row in enumerate(rows)]
    kept = [i for i, row in enumerate(rows) if truth.ranked or len(row) >= FEWEST_RANKED]
    return kept, [rows[i] for i in kept]


def paired(values: np.ndarray) -> np.ndarray:
    """(n, n) as `separations`, by paired t-tests."""
    trials = values.shape[1]
    differences = values[:, None] - values[None]
    means = differences.mean(axis=2)
    errors = differences.std(axis=2, ddof=1) / np.sqrt(trials)
    np.fill_diagonal(errors, 1.0)
    p_values = 2 * stdtr(trials - 1, -np.abs(means) / errors)
    np.fill_diagonal(p_values, np.inf)  # sorted last, and never rejected
    order = np.argsort(p_values, axis=1)
    # Holm's step-down over each row's n − 1 comparisons.
    limits = np.append(LEVEL / np.arange(len(values) - 1, 0, -1), 0.0)
    passed = np.take_along_axis(p_values, order, axis=1) <= limits
    rejected = np.zeros(means.shape, bool)
    np.put_along_axis(rejected, order, np.logical_and.accumulate(passed, axis=1), axis=1)
    return np.where(rejected, np.sign(means), 0).astype(int)


def false_rows(found: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(n,) bool: rows with at least one separation that the truth does not have."""
    true = np.sign(means[:, None] - means[None])
    return ((found != 0) & (found != true)).any(axis=1)


class Result(NamedTuple):
    """Shares of rows that are wrong (all, the first), and widths of ranges; of both procedures."""

    false: float
    false_first: float
    width: float
    paired_false: float
    paired_width: float


def simulate(name: str, n: int, trials: int, boards: int, with_paired: bool = True) -> Result:
    """Draw `boards` boards of n rows; deterministic. Rows without a rank do not count."""
    rng = np.random.default_rng([n, trials, *name.encode()])
    wrong, wrong_paired = np.zeros(n), np.zeros(n)
    width = width_paired = 0.0
    for _ in range(boards):
        truth = BOARDS[name](n, rng)
        # The same number of seeds on every split.
        values = draw(truth, trials - trials % truth.splits, rng)
        kept, rows = board_rows(truth, values)
        found = separations(rows)
        wrong[kept] += false_rows(found, truth.means[kept])
        width += len(kept) - (found != 0).sum(axis=1).mean()
        if with_paired and not truth.two_seeds:
            splits = values.reshape(n, -1, truth.splits).mean(axis=1)
            found = paired(splits if truth.splits > 1 else values)
            wrong_paired += false_rows(found, truth.means)
            width_paired += n - (found != 0).sum(axis=1).mean()
    return Result(
        wrong[kept].mean() / boards,
        wrong[0] / boards,
        width / boards,
        wrong_paired.mean() / boards,
        width_paired / boards,
    )


def power(name: str, n: int, trials: int, boards: int) -> tuple[float, float]:
    """How often the smallest difference is found, and its mean in points; deterministic.

    One board gives the difference. On another the first row lies so much above all others, which
    are equal, and each of them is asked whether it is worse: of its comparisons only this one is
    of a true difference, which is then tested under the strictest step of the correction.
    """
    rng = np.random.default_rng([n, trials, *name.encode()])
    found = size = 0.0
    for _ in range(boards):
        truth = BOARDS[name](n, rng)
        size += (difference := smallest_difference(as_rows(draw(truth, trials, rng))))
        values = draw(truth._replace(means=np.where(np.arange(n) == 0, difference, 0)), trials, rng)
        found += (separations(as_rows(values))[1:, 0] == -1).mean()
    return found / boards, size / boards


def print_powers(boards: int) -> None:
    print("| board | rows | trials | found | difference |")
    print("|:--|--:|--:|--:|--:|")
    for name, n, trials in itertools.product(
        ("equal rows", "noise of all kinds"), (2, 3, 5, 9, 10, 30, 60), (5, 10, 15)
    ):
        share, size = power(name, n, trials, boards)
        print(f"| {name} | {n} | {trials} | {100 * share:.0f} | {size:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boards", type=int, default=100, help="boards for each line")
    parser.add_argument("--power", action="store_true", help="smallest differences instead")
    arguments = parser.parse_args()
    count = arguments.boards
    if arguments.power:
        print_powers(count)
        return
    print("| board | rows | trials | false | odd row | width | paired: false | width |")
    print("|:--|--:|--:|--:|--:|--:|--:|--:|")
    for name, n, trials in itertools.product(BOARDS, (10, 30, 60), (5, 10, 15)):
        r = simulate(name, n, trials, count)
        print(
            f"| {name} | {n} | {trials} | {100 * r.false:.1f} | {100 * r.false_first:.1f} | "
            f"{r.width:.1f} | {100 * r.paired_false:.1f} | {r.paired_width:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
