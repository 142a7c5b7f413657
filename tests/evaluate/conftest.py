"""An oracle of plain loops in float64, and every way in which the package scans a gallery."""

from __future__ import annotations

import contextlib
import math
from collections import Counter

import pytest

from dmlbench.evaluate import retrieval, rowwise, tiles, tiling

# Cosines of the oracle that are closer than this differ by its own rounding alone.
SAME = 1e-12


class Oracle:
    """Scores (lists over the scored queries) by sorting each query's whole list."""

    def __init__(
        self, queries, labels, gallery=None, gallery_labels=None, ks=(1, 2, 4, 8), knn=3,
        metric="cosine",
    ):  # fmt: skip
        alike = {"cosine": cosine, "euclidean": nearness}[metric]
        own = gallery is None
        items = [[float(x) for x in row] for row in (queries if own else gallery)]
        classes = [int(x) for x in (labels if own else gallery_labels)]
        self.query_index, self.average_precision, self.r_precision, self.knn = [], [], [], []
        self.recall = {k: [] for k in ks}
        for i, query in enumerate([[float(x) for x in row] for row in queries]):
            found = sorted(
                (
                    (alike(query, item), classes[j])
                    for j, item in enumerate(items)
                    if not (own and i == j)
                ),
                reverse=True,
            )
            mine = int(labels[i])
            tiers = in_tiers(found)
            # Among equals the wrong ones come first.
            hits = [hit for tier in tiers for hit in sorted(c == mine for c in tier)]
            relevant = sum(hits)
            if not relevant:
                continue
            self.query_index.append(i)
            total = 0.0
            for place in range(relevant):
                if hits[place]:
                    total += sum(hits[: place + 1]) / (place + 1)
            self.average_precision.append(total / relevant)
            self.r_precision.append(sum(hits[:relevant]) / relevant)
            self.knn.append(not knn or all(wins(order, mine) for order in orders(tiers, knn)))
            for k in ks:
                self.recall[k].append(any(hits[:k]))


def cosine(a, b):
    norm = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    return math.fsum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else 0.0


def nearness(a, b):
    return -math.fsum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def in_tiers(found):
    """The classes of items, most similar first, equally similar ones together."""
    tiers, last = [], math.inf
    for similarity, label in found:
        if last - similarity > SAME:
            tiers.append([])
        tiers[-1].append(label)
        last = similarity
    return tiers


def orders(tiers, length):
    """Every order of classes in which the first `length` items may stand."""
    if not tiers or not length:
        yield ()
        return
    counts = Counter(tiers[0])
    if not counts:
        yield from orders(tiers[1:], length)
        return
    for label in counts:
        left = counts - Counter([label])
        rest = [list(left.elements()), *tiers[1:]]
        for tail in orders(rest, length - 1):
            yield (label, *tail)


def wins(voters, mine):
    """Whether `mine` has the most votes, of equally many those of the nearest."""
    votes = Counter(voters)
    most = max(votes.values())
    return next(label for label in voters if votes[label] == most) == mine


@pytest.fixture(scope="session")
def oracle():
    return Oracle


@pytest.fixture(params=["tiles", "small tiles", "threads", "little memory", "rows", "few rows"])
def score(request, monkeypatch):
    """`retrieval` on each of its paths: tiles of the CPU and whole rows of any other device."""
    block_bytes = 2**28
    if request.param in ("small tiles", "threads"):
        monkeypatch.setattr(tiling, "TILE", 7)
    if request.param == "threads":
        monkeypatch.setattr(tiles, "_one_blas_thread_each", lambda _: contextlib.nullcontext(3))
    if request.param in ("little memory", "few rows"):
        block_bytes = 2000
    if request.param in ("rows", "few rows"):
        monkeypatch.setattr(
            tiles,
            "scan",
            lambda task, max_k, knn, size: rowwise.scan(task, max_k, knn, size, "cpu"),
        )
    return lambda *args, **options: retrieval(*args, **{"block_bytes": block_bytes, **options})
