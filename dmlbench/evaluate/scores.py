"""From ranks to the scores of each query.

Legend: b queries, R relevant items of a query (at most), k neighbours that vote, N gallery items.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmlbench.evaluate.near_ties import NearTies


@dataclass(frozen=True)
class Ranks:
    """Where the relevant items of b queries are, and their nearest non-relevant neighbours.

    relevant: (b, R) similarities, descending, padded with −inf. num_relevant: (b,).
    above: (b, R) non-relevant items at least as similar as each; see `ranking.QueryBlock`.
    nearest_negatives, nearest_columns: (b, k) similarities and places in the gallery of the most
        similar non-relevant items, descending, −inf where none is.
    """

    relevant: np.ndarray
    num_relevant: np.ndarray
    above: np.ndarray
    nearest_negatives: np.ndarray
    nearest_columns: np.ndarray


@dataclass(frozen=True)
class Scores:
    """Of b queries, (b,) each: misses before the first hit, AP@R, R-Precision, kNN right or not."""

    misses: np.ndarray
    average_precision_at_r: np.ndarray
    r_precision: np.ndarray
    knn_correct: np.ndarray


# The similarities (n, N) of n queries to the whole gallery, −inf where an item is the query.
AllSimilarities = Callable[[np.ndarray], np.ndarray]


def score(
    ranks: Ranks,
    query_class: np.ndarray,
    gallery_class: np.ndarray,
    num_others: int,
    ties: NearTies,
    all_similarities: AllSimilarities,
    at_once: int,
) -> Scores:
    """The scores of b queries.

    query_class: (b,). gallery_class: (N,). num_others: items that a query is compared with.
    ties: tells equal similarities from nearly equal ones.
    all_similarities: called with positions among the b queries, for the rare ones whose vote
        depends on items that are equally similar. at_once: how many of them at a time.
    """
    place = np.arange(1, ranks.relevant.shape[1] + 1)
    rank = place + ranks.above.astype(np.int64)
    found = (rank <= ranks.num_relevant[:, None]) & (place <= ranks.num_relevant[:, None])
    voters = min(ranks.nearest_negatives.shape[1], num_others)
    votes = ((rank <= voters) & (place <= ranks.num_relevant[:, None])).sum(axis=1)
    correct, tied = _vote(ranks, gallery_class, votes, voters, ties)
    undecided = np.flatnonzero(tied)
    for start in range(0, len(undecided), at_once):
        some = undecided[start : start + at_once]
        for query, row in zip(some, all_similarities(some), strict=True):
            row = ties.settled(query, row, voters)
            correct[query] = vote(row, gallery_class, query_class[query], voters)
    return Scores(
        misses=ranks.above[:, 0].astype(np.int64),
        average_precision_at_r=(found * (place / rank)).sum(axis=1) / ranks.num_relevant,
        r_precision=found.sum(axis=1) / ranks.num_relevant,
        knn_correct=correct,
    )


def _vote(
    ranks: Ranks, gallery_class: np.ndarray, votes: np.ndarray, voters: int, ties: NearTies
) -> tuple[np.ndarray, np.ndarray]:
    """Whether the query's class wins (b,), and where the nearest negatives do not tell (b,).

    votes: (b,) that the query's class has.
    """
    correct = 2 * votes > voters
    others = voters - votes
    # The query's class must have a vote, and with one vote it must be the nearest.
    open_vote = ~correct & (votes > 0) & ((votes > 1) | (ranks.above[:, 0] == 0))
    rows = np.flatnonzero(open_vote)
    tied = np.zeros(len(votes), bool)
    last, after = (ranks.nearest_negatives[rows, others[rows] - i] for i in (1, 0))
    # Without another, it is −inf: the difference is then inf or, of two such, NaN.
    some = np.isfinite(after)
    some[some] = last[some] - after[some] <= ties.window(rows[some], last[some])
    close = rows[some]
    last, after = (ranks.nearest_columns[close, others[close] - i] for i in (1, 0))
    tied[close] = ties.equal(close, last, after)

    nearest_class = gallery_class[ranks.nearest_columns[rows]]
    places = np.arange(nearest_class.shape[1])
    voting = places < others[rows, None]
    same = (nearest_class[:, :, None] == nearest_class[:, None, :]) & voting[:, None, :]
    their_votes = same.sum(axis=2)  # (rows, k)
    own = votes[rows, None]
    beaten = (their_votes > own) | ((their_votes == own) & (places < ranks.above[rows, :1]))
    correct[rows] = ~(beaten & voting).any(axis=1)
    return correct, tied


def vote(
    similarities: np.ndarray, gallery_class: np.ndarray, query_class: int, voters: int
) -> bool:
    """Whether the query's class wins whatever the order of items that are equally similar.

    similarities: (N,), −inf for the query itself. gallery_class: (N,).
    voters: how many of the nearest vote. The most votes win, of equally many the nearer; items
    of other classes come before equally similar ones of the query's class, and among themselves
    in the order that is worst for it.
    """
    relevant = gallery_class == query_class
    own = np.sort(similarities[relevant])[::-1]
    values, classes = similarities[~relevant], gallery_class[~relevant]
    above = len(values) - np.searchsorted(np.sort(values), own)
    votes = int((np.arange(1, len(own) + 1) + above <= voters).sum())
    others = voters - votes
    if votes == 0 or others == 0:
        return votes > 0
    last = np.partition(values, len(values) - others)[len(values) - others]
    nearer = values > last
    places = others - int(nearer.sum())
    size = int(gallery_class.max()) + 1
    their_votes = np.bincount(classes[nearer], minlength=size) + np.minimum(
        np.bincount(classes[values == last], minlength=size), places
    )
    nearest = np.full(size, -np.inf)
    np.maximum.at(nearest, classes, values)
    beaten = (their_votes > votes) | ((their_votes == votes) & (nearest >= own[0]))
    return not beaten.any()
