"""How many items are above each relevant one, learned from one tile of similarities at a time.

The i-th most similar relevant item of a query has rank i + (non-relevant items at least as
similar). MAP@R and R-Precision ask for ranks up to R, Recall@K for the first rank up to K, and
the vote of k neighbours for the k nearest non-relevant items. Each tile raises a threshold for each
query, the similarity under which no item can change any of them. After the first tile one
comparison therefore finds the few similarities that matter: the hits.

Legend: b queries of a block, w columns of a tile, R relevant items of a query (at most, in its
block), k neighbours that vote, h hits.
"""

from __future__ import annotations

import threading

import numpy as np

from dmlbench.evaluate.near_ties import NearTies
from dmlbench.evaluate.nearest import Hits, NearestNegatives

# Hits wait until there are this many a query: the bookkeeping costs as much for one as for many.
_HITS_A_QUERY = 1
# Hits that nearly tie wait as well, because what is computed again serves many of them.
_MOST_NEAR = 1 << 16


class Scratch:
    """The memory that one worker needs for tiles of up to `size` similarities."""

    def __init__(self, size: int, dtype: np.dtype) -> None:
        self._similarities = np.empty(size, dtype)
        self._mask = np.zeros(-(-size // 8) * 8, bool)

    def tile(self, queries: np.ndarray, items: np.ndarray) -> np.ndarray:
        """The similarities (b, w) of queries (b, D) and items (w, D), valid until the next."""
        shape = len(queries), len(items)
        out = self._similarities[: shape[0] * shape[1]].reshape(shape)
        return np.matmul(queries, items.T, out=out)

    def at_least(self, tile: np.ndarray, threshold: np.ndarray) -> np.ndarray:
        """Flat positions (h,) where the tile (b, w) reaches the threshold, (b, 1) or (1, w)."""
        mask = self._mask[: -(-tile.size // 8) * 8]
        mask[tile.size :] = False
        np.greater_equal(tile, threshold, out=mask[: tile.size].reshape(tile.shape))
        # Hits are rare: look at eight bytes at a time.
        words = np.flatnonzero(mask.view(np.uint64) != 0)
        word, byte = np.nonzero(mask.reshape(-1, 8)[words])
        return words[word] * 8 + byte


class QueryBlock:
    """What is known of the ranks of b queries of neighbouring classes.

    relevant: (b, R) similarities of the relevant items, descending, padded with −inf.
    num_relevant: (b,) at least 1. max_k: the largest K of Recall@K. knn_k: k.
    ties: tells equal similarities from nearly equal ones.

    above: (b, R) non-relevant items at least as similar as each relevant one. Exact wherever the
        i-th relevant item (from 1) has i + above <= max(num_relevant, k), and for the first one
        wherever above < max_k; elsewhere at least so large that these do not hold.
    nearest: the non-relevant items that may vote.
    """

    def __init__(
        self,
        relevant: np.ndarray,
        num_relevant: np.ndarray,
        max_k: int,
        knn_k: int,
        ties: NearTies,
    ) -> None:
        self.ties = ties
        self._rows = np.arange(len(relevant))
        # What an item that ties with a relevant one reaches at least, (b, R).
        self._reach = relevant - ties.window(self._rows[:, None], relevant)
        self.relevant, self.num_relevant = relevant, num_relevant
        self.max_k, self.knn_k = max(max_k, knn_k), knn_k
        self.above = np.zeros(relevant.shape, np.int32)
        self.nearest = NearestNegatives(len(relevant), knn_k, relevant.dtype)
        self._place = np.arange(1, relevant.shape[1] + 1, dtype=np.int32)
        self._is_relevant = self._place <= num_relevant[:, None]
        self._last_rank = np.maximum(num_relevant, knn_k).astype(np.int32)
        # How many non-relevant items are between the relevant item of a place and the one before.
        self._counts = np.zeros(relevant.shape, np.int32)
        self._threshold = self.nearest.floor
        self._hits: list[Hits] = []
        self._num_hits = 0
        # Hits that may tie with a relevant item: rows, columns, similarities and places.
        self._near: list[tuple[np.ndarray, ...]] = []
        self._num_near = 0
        self._lock = threading.Lock()

    def begin(self, tile: np.ndarray, first_column: int, scratch: Scratch) -> None:
        """Take in the first tile (b, w), in which relevant items and the query itself are −inf."""
        ranks_to_know = max(self.relevant.shape[1], self.knn_k)
        self._start_thresholds(tile, ranks_to_know)
        threshold = self._threshold
        self.absorb(tile, 0, first_column, scratch)
        if self._num_hits:
            self._count_hits()
        if self.max_k > ranks_to_know:
            if self._near:
                self._count_ties()
            self._count_above_first(tile, threshold, first_column)

    def absorb(self, tile: np.ndarray, axis: int, first_column: int, scratch: Scratch) -> None:
        """Take in a tile (b, w) of non-relevant items; with axis=1 (w, b), queries as columns.

        first_column: where the tile's items start in the gallery.
        """
        threshold = self._threshold
        hits = scratch.at_least(tile, threshold[:, None] if axis == 0 else threshold[None, :])
        if not len(hits):
            return
        values = tile.reshape(-1)[hits]
        rows, columns = np.divmod(hits, tile.shape[1])
        if axis == 1:
            rows, columns = columns, rows
        with self._lock:
            self._hits.append((rows, columns + first_column, values))
            self._num_hits += len(hits)
            if self._num_hits >= _HITS_A_QUERY * len(self.relevant):
                self._count_hits()

    def finish(self) -> None:
        """Count the hits that still wait."""
        with self._lock:
            if self._num_hits:
                self._count_hits()
            if self._near:
                self._count_ties()
                np.cumsum(self._counts, axis=1, out=self.above)

    def _start_thresholds(self, tile: np.ndarray, ranks_to_know: int) -> None:
        """Raise the thresholds to what the maxima of groups of the first tile's columns allow."""
        maxima = _group_maxima(tile, 4 * ranks_to_know)
        if maxima.shape[1] >= ranks_to_know:
            # So many groups have a maximum at or above it: no item under it has a rank to count.
            kth = _kth_largest(maxima, ranks_to_know)
            self._threshold = np.maximum(self._threshold, kth - self.ties.window(self._rows, kth))
            self.nearest.raise_floor(_kth_largest(maxima, self.knn_k))

    def _count_above_first(
        self, tile: np.ndarray, threshold: np.ndarray, first_column: int
    ) -> None:
        """Count what the first tile's threshold hid from the first relevant item of a query."""
        for row in np.flatnonzero(self._reach[:, 0] < threshold):
            self._counts[row, 0] = self._num_above_first(int(row), tile[row], first_column)
        np.cumsum(self._counts, axis=1, out=self.above)
        self._raise_threshold()

    def _count_hits(self) -> None:
        rows, columns, values = (np.concatenate(part) for part in zip(*self._hits, strict=True))
        self._hits, self._num_hits = [], 0
        place = self._more_similar(rows, values)
        last = self._reach[rows, np.maximum(place - 1, 0)]
        near = np.flatnonzero((last <= values) & (place > 0))
        if len(near):
            self._near.append((rows[near], columns[near], values[near], place[near]))
            self._num_near += len(near)
            if self._num_near > _MOST_NEAR:
                self._count_ties()
        counted = place < self.relevant.shape[1]
        flat = rows[counted] * self.relevant.shape[1] + place[counted]
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)
        np.cumsum(self._counts, axis=1, out=self.above)
        self.nearest.add((rows, columns, values), self._vote_open())
        self._raise_threshold()

    def _count_ties(self) -> None:
        """Count hits that tie with a relevant item, but seem less similar, as above it."""
        rows, columns, values, place = (np.concatenate(p) for p in zip(*self._near, strict=True))
        self._near, self._num_near = [], 0
        # Of the relevant items from `first` to `place`, which may tie, those before count longest.
        reach = values + 2 * self.ties.window(rows, values)
        first = self._more_similar(rows, reach)
        matter = self._counting()[rows, first]
        matter |= (first == 0) & (self.above[rows, 0] < self.max_k)
        rows, columns, values, place = (part[matter] for part in (rows, columns, values, place))
        if not len(rows):
            return
        settled = self.ties.places(rows, columns, values, place)
        moved = np.flatnonzero(settled < place)
        inside = moved[place[moved] < self.relevant.shape[1]]
        np.subtract.at(self._counts, (rows[inside], place[inside]), 1)
        np.add.at(self._counts, (rows[moved], settled[moved]), 1)

    def _num_above_first(self, row: int, values: np.ndarray, first_column: int) -> int:
        """How many items of a tile (w,) are at least as similar as the first relevant one."""
        first = self.relevant[row, 0]
        near = np.flatnonzero((values >= self._reach[row, 0]) & (values < first))
        tied = 0
        if len(near):
            rows, ones = np.full(len(near), row), np.ones(len(near), np.int64)
            settled = self.ties.places(rows, near + first_column, values[near], ones)
            tied = int(np.count_nonzero(settled == 0))
        return int(np.count_nonzero(values >= first)) + tied

    def _more_similar(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """How many relevant items are more similar than each hit (h,): a binary search."""
        width = self.relevant.shape[1]
        # A column of −inf ends each row, for the search to stop at.
        flat = np.pad(self.relevant, ((0, 0), (0, 1)), constant_values=-np.inf).reshape(-1)
        before = rows * (width + 1) - 1
        above = np.zeros(len(rows), np.int64)
        step = 1 << (width.bit_length() - 1)
        while step:
            probe = np.minimum(above + step, width + 1)
            above = np.where(flat.take(before + probe) > values, probe, above)
            step >>= 1
        return above

    def _vote_open(self) -> np.ndarray:
        """Whether the vote (b,) may depend on the labels of non-relevant neighbours.

        With one vote, and an item of another class at least as near, the vote is lost.
        """
        open_vote = self.above[:, 0] == 0
        if self.relevant.shape[1] > 1:
            open_vote |= self.above[:, 1] + 2 <= self.knn_k
        return open_vote

    def _counting(self) -> np.ndarray:
        """Which relevant items (b, R) have a rank that a score asks for."""
        return (self.above + self._place <= self._last_rank[:, None]) & self._is_relevant

    def _raise_threshold(self) -> None:
        """To the last relevant item that still has a rank to count, or the k-th negative if less.

        A query whose first relevant item is out of reach of every K needs nothing more.
        """
        num_counting = self._counting().sum(axis=1)
        threshold = self._reach[self._rows, np.maximum(num_counting - 1, 0)]
        threshold[(num_counting == 0) & (self.above[:, 0] >= self.max_k)] = np.inf
        with_votes = np.minimum(threshold, self.nearest.least())
        self._threshold = np.where(self._vote_open(), with_votes, threshold)


def _group_maxima(tile: np.ndarray, at_least: int) -> np.ndarray:
    """Maxima (b, groups) of groups of columns; the tile itself where it is too narrow."""
    width = tile.shape[1]
    size = min(width // at_least, 8)
    if size < 2:
        return tile
    groups = width // size
    maxima = tile[:, : groups * size].reshape(len(tile), size, groups).max(axis=1)
    rest = tile[:, groups * size :]
    np.maximum(maxima[:, : rest.shape[1]], rest, out=maxima[:, : rest.shape[1]])
    return maxima


def _kth_largest(values: np.ndarray, k: int) -> np.ndarray:
    """The k-th largest value of each row, (b,)."""
    place = values.shape[1] - k
    return np.partition(values, place, axis=1)[:, place].copy()
