"""How often the interval over classes of `dmlbench evaluate` holds the truth, on drawn test sets.

    python benchmarks/interval_simulation.py [--sets 1000]

Each set has classes of 4 to 40 queries; a class has a score of its own (Beta(2, 2)) and its queries
are right with that chance. The truth is the mean over queries of infinitely many such classes.
Prints a Markdown table: the share of 95 % intervals that hold it, in percent, with classes drawn
again (what dmlbench does) and with queries drawn again as if they were independent.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from dmlbench.statistics.bootstrap import class_intervals

CLASSES = (5, 10, 20, 50, 100)
TRUTH = 0.5
_RESAMPLES = 1000


class Coverage(NamedTuple):
    """Shares of intervals that hold the truth."""

    classes: float
    queries: float


def coverage(num_classes: int, sets: int) -> Coverage:
    """Draw `sets` test sets of so many classes; deterministic."""
    rng = np.random.default_rng([num_classes, sets])
    held = np.zeros(2)
    for _ in range(sets):
        labels = np.repeat(np.arange(num_classes), rng.integers(4, 41, num_classes))
        scores = rng.random(len(labels)) < rng.beta(2, 2, num_classes)[labels]
        for which, drawn in enumerate((labels, np.arange(len(labels)))):
            (found,) = class_intervals(scores[None].astype(float), drawn, _RESAMPLES)
            held[which] += found.low <= TRUTH <= found.high
    return Coverage(*(held / sets))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=1000, help="test sets for each line")
    count = parser.parse_args().sets
    print("| classes | interval over classes | interval over queries |")
    print("|--:|--:|--:|")
    for num_classes in CLASSES:
        found = coverage(num_classes, count)
        print(f"| {num_classes} | {100 * found.classes:.1f} | {100 * found.queries:.1f} |")


if __name__ == "__main__":
    main()
