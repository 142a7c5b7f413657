"""How often intervals over class splits have the difference that all unseen classes would give.

    python benchmarks/split_simulation.py [--datasets 1000]

A dataset has 60 classes, drawn at random from all there could be, each of which favours one of two
rows by a standard normal number: over all classes the rows are equal. Each split tests on a random
half, with four queries a class and noise of its own (0.1 for the split, 0.5 for a class in it, 1
for a query). Prints a Markdown table of how often 95 % intervals contain 0: of
`dmlbench.statistics.bootstrap.class_difference`; of the same with other numbers for the classes of
every split, as if splits shared none; of Student's t over the splits. *Claimed*: how often the
first and the last exclude 0 both, in which case `compare` would say that the rows differ.
"""

from __future__ import annotations

import argparse

import numpy as np

from dmlbench.statistics.bootstrap import class_difference
from dmlbench.statistics.intervals import mean_interval

CLASSES = 60
QUERIES = 4
RESAMPLES = 1000


def rates(num_splits: int, datasets: int) -> list[float]:
    """Shares that contain 0: shared classes, classes apart, t over splits; share of claims."""
    rng = np.random.default_rng(num_splits)
    contain = np.zeros((datasets, 3), bool)
    for dataset in range(datasets):
        favour = rng.normal(size=CLASSES)
        splits = []
        for split in range(num_splits):
            classes = np.repeat(rng.permutation(CLASSES)[: CLASSES // 2], QUERIES)
            noise = rng.normal(0, 0.1) + rng.normal(0, 0.5, CLASSES)[classes]
            a = favour[classes] + noise + rng.normal(size=len(classes))
            splits.append((a[None], np.zeros((1, len(a))), classes + split * CLASSES))
        shared = [(a, b, classes % CLASSES) for a, b, classes in splits]
        intervals = [
            class_difference(shared, RESAMPLES, seed=dataset),
            class_difference(splits, RESAMPLES, seed=dataset),
            mean_interval([float(a.mean()) for a, _, _ in splits]),
        ]
        contain[dataset] = [found.low <= 0 <= found.high for found in intervals]
    claims = ~contain[:, 0] & ~contain[:, 2]
    return [*contain.mean(axis=0).tolist(), float(claims.mean())]


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw datasets and their class splits.")
    parser.add_argument("--datasets", type=int, default=1000)
    datasets = parser.parse_args().datasets
    print("| splits | classes and splits | classes apart | t over splits | claimed |")
    print("|--:|--:|--:|--:|--:|")
    for num_splits in (3, 5, 10):
        shown = " | ".join(f"{100 * rate:.1f} %" for rate in rates(num_splits, datasets))
        print(f"| {num_splits} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
