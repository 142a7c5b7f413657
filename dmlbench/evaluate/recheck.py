"""Scores of the queries for which rounding may have parted a tie, with the ties settled exactly.

Legend: n queries, N gallery items, R relevant items of a query (at most), k neighbours that vote, h
pairs of a query and an item.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmlbench.evaluate.items import Task
from dmlbench.evaluate.near_ties import NearTies
from dmlbench.evaluate.scores import AllSimilarities, Ranks, Scores, score

_AT_ONCE = 16


@dataclass(frozen=True)
class Found:
    """What a pass over the similarities gave, ties as the product has them.

    queries: (n,) numbers of the task. relevant, above: (n, R), nearest, columns: (n, k), as in
        `scores.Ranks`.
    rows, items, values: (h,) pairs that may tie with a relevant item that seems more similar: the
        query, counted among the n, the item's column and its similarity. A pair may occur twice.
    """

    queries: np.ndarray
    relevant: np.ndarray
    above: np.ndarray
    nearest: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    items: np.ndarray
    values: np.ndarray


def recheck(
    task: Task, found: Found, knn_k: int, max_k: int, all_similarities: AllSimilarities
) -> Scores:
    """The scores of the n queries.

    all_similarities: of the task's queries (m,) to every item, (m, N).
    """
    ties = NearTies(task, found.queries)
    return score(
        Ranks(
            found.relevant,
            task.num_relevant[found.queries],
            _settled(found, ties, len(task.gallery)),
            found.nearest,
            found.columns,
        ),
        task.query_class[found.queries],
        task.gallery_class,
        len(task.gallery) - task.self_retrieval,
        ties,
        lambda some: all_similarities(found.queries[some]),
        _AT_ONCE,
    )


def _settled(found: Found, ties: NearTies, num_items: int) -> np.ndarray:
    """`found.above` and, of each relevant item, those that tie with it but seem less similar."""
    above = found.above.copy()
    _, first = np.unique(found.rows * num_items + found.items, return_index=True)
    if not len(first):
        return above
    rows, items, values = found.rows[first], found.items[first], found.values[first]
    places = (found.relevant[rows] > values[:, None]).sum(axis=1)  # relevant items above each
    settled = ties.places(rows, items, values, places)
    # Of the relevant items from `settled` to `places` the item is not less similar.
    more = np.zeros((len(above), above.shape[1] + 1), np.int64)
    np.add.at(more, (rows, settled), 1)
    np.subtract.at(more, (rows, places), 1)
    return above + np.cumsum(more, axis=1)[:, :-1]
