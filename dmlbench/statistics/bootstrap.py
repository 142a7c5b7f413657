"""Intervals over the queries of a test set, by bootstrap. Pure functions of numbers.

Legend: S seeds, Q queries, C classes, b resamples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmlbench.statistics.intervals import Difference, Interval

RESAMPLES = 10_000
# Random numbers drawn at once.
_BLOCK = 1 << 22


def query_difference(
    a: np.ndarray,
    b: np.ndarray,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """mean(a) − mean(b) with the percentile interval over queries drawn again.

    a, b: (S, Q) float, the same seeds and queries, hence paired. The trained models stay as they
    are: the interval says how far the difference depends on which queries were asked.
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993.

        >>> found = query_difference(np.ones((1, 4)), np.eye(1, 4), resamples=100)
        >>> found.mean
        0.75
    """
    differences = _of_queries(a, b)  # (Q,)
    generator = np.random.default_rng(seed)
    num = len(differences)
    means = []
    for size in _sizes(resamples, num):
        means.append(differences[generator.integers(0, num, (size, num))].mean(axis=1))
    return _percentiles(float(differences.mean()), np.concatenate(means), confidence)


def class_difference(
    splits: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """mean(a) − mean(b) with the percentile interval over test classes drawn again, whole.

    splits: (a, b, classes) of each class split: a, b (S, Q) float, classes (Q,), a class having the
        same number on every split. Where there are several, both are drawn again: classes, the
        same ones for all splits, and splits. A split counts as much as any other.
    Queries of one class share images to find and rise and fall together; what holds for other
    unseen classes is better told by this, wider, interval. Splits of one dataset share classes: if
    each drew classes of its own, the interval would become too narrow with every further split.
    Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007.
    """
    generator = np.random.default_rng(seed)
    differences = [_of_queries(a, b) for a, b, _ in splits]
    found = np.array([of_split.mean() for of_split in differences])
    if len(splits) == 1:
        means = _of_classes(differences[0], splits[0][2], resamples, generator)
        return _percentiles(float(found[0]), means, confidence)
    pool = np.unique(np.concatenate([classes for _, _, classes in splits]))
    places = [np.searchsorted(pool, classes) for _, _, classes in splits]
    counts = np.array([np.bincount(p, minlength=len(pool)) for p in places], float)  # (S, C)
    sums = np.array(
        [np.bincount(p, d, len(pool)) for p, d in zip(places, differences, strict=True)]
    )
    resampled = []
    for size in _sizes(resamples, len(pool) + len(splits)):
        drawn = generator.integers(0, len(pool), (size, len(pool)))
        # How often each class was drawn (b, C).
        rows = np.repeat(np.arange(size), len(pool)) * len(pool)
        times = np.bincount(rows + drawn.ravel(), minlength=size * len(pool))
        times = times.reshape(size, len(pool)).astype(float)
        queries = times @ counts.T  # (b, S)
        means = np.where(queries > 0, times @ sums.T / np.maximum(queries, 1), found)
        chosen = generator.integers(0, len(splits), (size, len(splits)))
        resampled.append(np.take_along_axis(means, chosen, axis=1).mean(axis=1))
    return _percentiles(float(found.mean()), np.concatenate(resampled), confidence)


def class_intervals(
    scores: np.ndarray,
    labels: np.ndarray,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> list[Interval]:
    """The mean of each metric over queries, with the percentile interval over classes drawn again.

    scores: (M, Q) of M metrics. labels: (Q,), the classes, which are drawn whole.
    With one class there is no interval. Raises ValueError for other shapes.

        >>> class_intervals(np.array([[1.0, 1.0, 0.0, 0.0]]), np.array([0, 0, 1, 1]))
        [Interval(mean=0.5, low=0.0, high=1.0)]
    """
    if scores.ndim != 2 or labels.shape != scores.shape[1:] or 0 in scores.shape:
        raise ValueError(f"Scores must be (M, Q) and labels (Q,): {scores.shape}, {labels.shape}.")
    rows = scores.astype(float)
    if len(np.unique(labels)) < 2:
        return [Interval(float(row.mean()), None, None) for row in rows]
    found = []
    for row in rows:  # the same classes are drawn for each
        means = _of_classes(row, labels, resamples, np.random.default_rng(seed))
        interval = _percentiles(float(row.mean()), means, confidence)
        found.append(Interval(interval.mean, interval.low, interval.high))
    return found


def _of_classes(
    differences: np.ndarray, labels: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    """(b,) means of queries' scores or differences (Q,) over classes drawn again."""
    classes = np.unique(labels, return_inverse=True)[1]
    counts = np.bincount(classes).astype(float)  # (C,)
    sums = np.bincount(classes, weights=differences)
    means = []
    for size in _sizes(resamples, len(counts)):
        drawn = generator.integers(0, len(counts), (size, len(counts)))
        means.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    return np.concatenate(means)


def _of_queries(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.shape != b.shape or a.ndim != 2 or 0 in a.shape:
        raise ValueError(f"Scores must both be (S, Q): {a.shape} and {b.shape}.")
    return (a.astype(float) - b.astype(float)).mean(axis=0)


def _sizes(resamples: int, width: int) -> list[int]:
    most = max(1, _BLOCK // width)
    return [min(most, resamples - start) for start in range(0, resamples, most)]


def _percentiles(mean: float, means: np.ndarray, confidence: float) -> Difference:
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(mean, float(low), float(high))
