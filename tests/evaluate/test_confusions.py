"""The nearest item of another class, against a search query by query."""

from __future__ import annotations

import numpy as np
import pytest

from dmlbench.evaluate import confusions
from dmlbench.evaluate.confusions import nearest_other_class


def by_hand(rows, labels, queries, items, item_labels, metric):
    """Sort every item by its distance in float64, and take the first of another class."""
    rows, items = rows.astype(float), items.astype(float)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        items = items / np.linalg.norm(items, axis=1, keepdims=True)
    nearest = []
    for query in queries:
        order = np.argsort(np.linalg.norm(items - rows[query], axis=1), kind="stable")
        nearest.append(next(item_labels[i] for i in order if item_labels[i] != labels[query]))
    return nearest


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("has_gallery", [False, True])
@pytest.mark.parametrize("block_bytes", [2**26, 1000])
def test_the_class_is_that_of_a_plain_search(metric, has_gallery, block_bytes, monkeypatch):
    monkeypatch.setattr(confusions, "_BLOCK_BYTES", block_bytes)
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(60, 5)).astype(np.float32) * generator.uniform(0.1, 9, (60, 1))
    labels = generator.integers(0, 7, 60)
    gallery = (generator.normal(size=(40, 5)), generator.integers(0, 9, 40))
    queries = np.flatnonzero(generator.random(60) < 0.6)
    given = gallery if has_gallery else ()
    found = nearest_other_class(rows, labels, queries, *given, metric=metric)
    searched = gallery if has_gallery else (rows, labels)
    assert found.tolist() == by_hand(rows, labels, queries, *searched, metric)


def test_of_one_class_nothing_is_confused():
    with pytest.raises(ValueError, match="one class"):
        nearest_other_class(np.ones((3, 2)), np.zeros(3, int), np.arange(3))
