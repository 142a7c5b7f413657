"""Which of nearly equal similarities are equal: those are computed again in float64.

In exact arithmetic two items may be equally similar to a query although their embeddings differ,
as codes of few values are all the time; a product in float32 parts such ties by its rounding, and
an item of another class would then stand behind a relevant one by chance. Similarities that are
closer than the rounding may part them are therefore computed again, and tie where float64 cannot
tell them apart. All others keep the order that the product gave.

Legend: b queries of a block, R relevant items of a query (at most, in its block), D width, h pairs.
"""

from __future__ import annotations

import numpy as np

from dmlbench.evaluate.items import Task

_CHUNK_NUMBERS = 1 << 21


def rounding(task: Task, dtype: np.dtype) -> float:
    """By how much equal similarities may differ that are computed in `dtype`.

    The rounding errors of a sum of D products grow as √D (Higham & Mary, SIAM Journal on Scientific
    Computing 2019), twice as fast where all products have one sign, as with codes of 0 and 1; the
    rest are those of the two normalised vectors.
    """
    return float((2 * np.sqrt(task.gallery.width) + 4) * np.finfo(dtype).eps * task.scale)


class NearTies:
    """Of the queries start to stop."""

    def __init__(self, task: Task, start: int, stop: int) -> None:
        self.task, self.start, self.stop = task, start, stop
        self.window = rounding(task, task.gallery.dtype)
        self._same = 2 * rounding(task, np.dtype(np.float64))

    def places(
        self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """How many relevant items are more similar than each of h others.

        rows: (h,) queries, counted from `start`. columns: (h,) places in the gallery.
        values: (h,) their similarities as the product has them.
        places: (h,) by those values; kept where no relevant item is equally similar.
        """
        out = places.copy()
        classes = self.task.query_class[self.start + rows]
        order = np.argsort(classes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
        found = [self._candidates(rows[some], values[some]) for some in groups]
        hit = np.concatenate([some[one[1]] for some, one in zip(groups, found, strict=True)])
        candidates = np.concatenate([one[2] for one in found])
        nearer = np.zeros(len(rows), np.int64)
        for some, one in zip(groups, found, strict=True):
            nearer[some] = one[0]
        difference = self._differences(rows[hit], candidates, columns[hit])
        tied = np.bincount(hit[abs(difference) <= self._same], minlength=len(rows)) > 0
        nearer += np.bincount(hit[difference > self._same], minlength=len(rows))
        out[tied] = np.minimum(nearer, places)[tied]
        return out

    def equal(self, rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether two items are equally similar to a query, (h,). some, others: (h,) columns."""
        return abs(self._differences(rows, some, others)) <= self._same

    def settled(self, row: int, similarities: np.ndarray, depth: int) -> np.ndarray:
        """One query's similarities (N,) to the gallery with ties made equal, −inf beyond `depth`.

        depth: how many of the nearest items must be there; more are, where they tie.
        """
        last = np.partition(similarities, len(similarities) - depth)[len(similarities) - depth]
        near = (similarities >= last - 2 * self.window) & np.isfinite(similarities)
        columns = np.flatnonzero(near)
        values = self._exact(np.full(len(columns), row), columns)
        order = np.argsort(values)
        out = np.full(len(similarities), -np.inf)
        out[columns[order]] = np.cumsum(np.diff(values[order], prepend=-np.inf) > self._same)
        return out

    def _candidates(
        self, rows: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Relevant items that queries (h,) of one class may find as similar as `values` (h,).

        Returns how many are more similar beyond doubt (h,), and of each candidate which of the h
        it is for and its column.
        """
        task = self.task
        number = task.query_class[self.start + rows[0]]
        first, last = int(task.starts[number]), int(task.starts[number + 1])
        queries, which = np.unique(rows, return_inverse=True)
        relevant = task.queries.take(self.start + queries) @ task.gallery.block(first, last).T
        if task.self_retrieval:
            relevant[np.arange(len(queries)), self.start + queries - first] = -np.inf
        certain, hits, columns = np.zeros(len(rows), np.int64), [], []
        size = max(1, _CHUNK_NUMBERS // (last - first))
        for at in range(0, len(rows), size):
            difference = relevant[which[at : at + size]] - values[at : at + size, None]
            certain[at : at + size] = (difference > 2 * self.window).sum(axis=1)
            hit, column = np.nonzero(abs(difference) <= 2 * self.window)
            hits.append(hit + at)
            columns.append(column + first)
        return certain, np.concatenate(hits), np.concatenate(columns)

    def _differences(self, rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Similarity to `some` less that to `others`, (h,) float64; exact where it is next to 0."""
        task, dtype = self.task, self.task.gallery.dtype
        if dtype == np.float64:
            return self._exact(rows, some) - self._exact(rows, others)
        out = np.empty(len(rows))
        size = max(1, _CHUNK_NUMBERS // task.gallery.width)
        for at in range(0, len(rows), size):
            queries = task.queries.take(self.start + rows[at : at + size]).astype(np.float64)
            first, second = (
                _products(queries, task.gallery.take(columns[at : at + size]).astype(np.float64))
                for columns in (some, others)
            )
            out[at : at + size] = first - second
        # What is left is the rounding of each value of the three vectors.
        unclear = np.flatnonzero(abs(out) <= 4 * np.finfo(dtype).eps)
        rows, some, others = rows[unclear], some[unclear], others[unclear]
        out[unclear] = self._exact(rows, some) - self._exact(rows, others)
        return out

    def _exact(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """The similarities of h pairs, (h,) float64."""
        task, out = self.task, np.empty(len(rows))
        size = max(1, _CHUNK_NUMBERS // task.gallery.width)
        for at in range(0, len(rows), size):
            queries = task.queries.exact(self.start + rows[at : at + size])
            items = task.gallery.exact(columns[at : at + size])
            out[at : at + size] = np.einsum("hd,hd->h", queries, items)
        return out


def _products(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The products (h,) of queries and items (h, D), whose lengths are 1 but for their rounding."""
    squares = np.einsum("hd,hd->h", items, items)
    return np.einsum("hd,hd->h", queries, items) / np.sqrt(np.where(squares > 0, squares, 1))
