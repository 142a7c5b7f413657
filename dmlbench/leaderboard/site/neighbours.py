"""A few queries of one trial with what was found for them, right and wrong.

Legend: N queries, G items searched, D dimension, b queries looked at together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmlbench.evaluate.inputs import lift_items, lift_queries, normalise, working_dtype
from dmlbench.evaluate.items import Made

# Looked at together; and at most, where one kind is rare.
_BLOCK = 64
_MOST_BLOCKS = 40


@dataclass(frozen=True)
class Neighbour:
    """An item found: its index, its class, whether it is the query's class, and its similarity.

    similarity: the cosine; by "euclidean" the distance with a minus.
    """

    index: int
    label: int
    right: bool
    similarity: float


@dataclass(frozen=True)
class Query:
    """A query's index and class, and its nearest items, nearest first."""

    index: int
    label: int
    neighbours: tuple[Neighbour, ...]

    @property
    def right(self) -> bool:
        """Whether it counts as found in Recall@1."""
        return self.neighbours[0].right


def sample_queries(
    embeddings: np.ndarray,
    labels: np.ndarray,
    gallery: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
    each: int = 5,
    depth: int = 8,
    metric: str = "cosine",
) -> tuple[list[Query], list[Query], int]:
    """Up to `each` queries whose nearest item is right, and as many whose nearest is wrong.

    The order in which queries are looked at is random but fixed by N: entries on one dataset show
    the same queries as far as they answer them alike, and nobody picks the flattering ones.
    embeddings: (N, D), need not be normalised; labels: (N,). gallery: (G, D), or None to search
    the queries themselves, each without itself. Equal similarities count against the query.
    metric: "cosine", or "euclidean" to search by distance.
    Gives both lists and how many queries were looked at; those without a match are passed over.
    """
    by_distance = metric == "euclidean"
    queries = _lifted(embeddings, lift_queries) if by_distance else _unit(embeddings)
    if by_distance:
        items = _lifted(embeddings if gallery is None else gallery, lift_items)
    else:
        items = queries if gallery is None else _unit(gallery)
    item_labels = labels if gallery_labels is None else gallery_labels
    order = np.random.PCG64(len(queries)).random_raw(len(queries)).argsort(kind="stable")
    found: dict[bool, list[Query]] = {True: [], False: []}
    looked_at = 0
    for start in range(0, min(len(order), _BLOCK * _MOST_BLOCKS), _BLOCK):
        block = order[start : start + _BLOCK]
        similarities = queries[block] @ items.T  # (b, G)
        for row, query in zip(similarities, block, strict=True):
            if min(len(found[True]), len(found[False])) >= each:
                return found[True], found[False], looked_at
            same = item_labels == labels[query]
            if gallery is None:
                row[query] = -np.inf
                same[query] = False
            if not same.any():
                continue
            looked_at += 1
            right = same.all() or bool(row[same].max() > row[~same].max())
            if len(found[right]) < each:
                nearest = np.lexsort((same, -row))[:depth]
                nearest = nearest[np.isfinite(row[nearest])]
                if by_distance:
                    row = _minus_distances(embeddings[query], row)
                found[right].append(_query(int(query), labels, nearest, item_labels, same, row))
    return found[True], found[False], looked_at


def _query(
    query: int,
    labels: np.ndarray,
    nearest: np.ndarray,
    item_labels: np.ndarray,
    same: np.ndarray,
    row: np.ndarray,
) -> Query:
    return Query(
        query,
        int(labels[query]),
        tuple(
            Neighbour(int(i), int(item_labels[i]), bool(same[i]), float(row[i])) for i in nearest
        ),
    )


def _unit(embeddings: np.ndarray) -> np.ndarray:
    """Unit rows in the precision in which the metrics compare them."""
    rows = np.arange(len(embeddings))
    return normalise(embeddings, working_dtype(embeddings), "stored embeddings", rows)


def _lifted(embeddings: np.ndarray, lift: Made) -> np.ndarray:
    """Rows whose products order by distance, in float64 as in the metrics."""
    rows = np.arange(len(embeddings))
    return lift(embeddings, np.dtype(np.float64), "embeddings", rows)


def _minus_distances(query: np.ndarray, products: np.ndarray) -> np.ndarray:
    """From the products (G,) of lifted rows; rounding must not make a square negative."""
    square = np.square(query.astype(np.float64)).sum()
    return -np.sqrt(np.maximum(square - products, 0.0))
