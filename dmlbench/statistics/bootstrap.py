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

    splits: (a, b, labels) of each class split: a, b (S, Q) float, labels (Q,). Where there are
        several, splits are drawn first and then classes within them; a split counts as much as any
        other.
    Queries of one class share images to find and rise and fall together; what holds for other
    unseen classes is better told by this, wider, interval.
    """
    generator = np.random.default_rng(seed)
    found, drawn = [], []
    for a, b, labels in splits:
        differences = _of_queries(a, b)
        found.append(float(differences.mean()))
        # A resample of each split for each place that it may be drawn for.
        drawn.append([_of_classes(differences, labels, resamples, generator) for _ in splits])
    means = np.array(drawn)  # (splits, places, resamples)
    num = len(splits)
    chosen = generator.integers(0, num, (num, resamples)) if num > 1 else np.zeros((1, 1), int)
    places = np.arange(num)[:, None]
    resampled = means[chosen, places, np.arange(resamples)].mean(axis=0)
    return _percentiles(float(np.mean(found)), resampled, confidence)


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
