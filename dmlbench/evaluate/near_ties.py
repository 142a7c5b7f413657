"""Which of nearly equal similarities are equal: those are computed again in float64.

In exact arithmetic two items may be equally similar to a query although their embeddings differ,
as codes of few values are all the time; a product in float32 parts such ties by its rounding, and
an item of another class would then come behind a relevant one by chance. Similarities that are
closer than the rounding may part them are therefore computed again, and tie where float64 cannot
tell them apart. All others keep the order that the product gave.

Legend: b queries of a block, R relevant items of a query (at most, in its block), D dimension, h
pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dmlbench.evaluate.items import Task

_CHUNK_NUMBERS = 1 << 21


def rounding(dim: int, dtype: np.dtype) -> float:
    """By how much equal products of unit vectors of this dimension may differ, computed in `dtype`.

    The rounding errors of a sum of D products grow as √D (Higham & Mary, SIAM Journal on Scientific
    Computing 2019), twice as fast where all products have one sign, as with codes of 0 and 1; the
    rest are those of the two normalised vectors.
    """
    return float((2 * np.sqrt(dim) + 4) * np.finfo(dtype).eps)


def lengths_of(task: Task, queries: np.ndarray) -> np.ndarray:
    """The lengths (b,) of a lifted task's queries (b,)."""
    rows = task.queries.take(queries)[:, :-1]
    return np.sqrt(np.einsum("bd,bd->b", rows, rows)) / 2


def lifted_window(lengths: Any, values: Any, rounding: Any) -> Any:
    """`NearTies.window` of queries of these lengths, of arrays or tensors of one shape."""
    # No item at distance d is longer than ‖q‖ + d; the product adds up 2qx and ‖x‖².
    longest = lengths + (lengths**2 - values).clip(0) ** 0.5
    return rounding * (2 * lengths + longest) * longest


class NearTies:
    """Of b queries of a task.

    queries: their numbers, (b,), or a range where they follow each other.
    """

    def __init__(self, task: Task, queries: range | np.ndarray) -> None:
        self.task, self.queries = task, queries
        dtype = task.gallery.dtype
        self._rounding = dtype.type(rounding(task.gallery.dim, dtype))
        self._lengths: np.ndarray | None = None
        if task.lifted:
            self._lengths = lengths_of(task, self._numbers(np.arange(len(queries))))

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        """The task's numbers of queries (h,) of these."""
        if isinstance(self.queries, range):
            return self.queries.start + rows
        return self.queries[rows]

    def window(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """By how much an item as similar to a query may seem less similar than `values` (h,).

        rows: (h,) places among the b queries. One number where it is the same for all.
        """
        if self._lengths is None:
            return self._rounding
        return lifted_window(self._lengths[rows], values, self._rounding)

    def places(
        self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """How many relevant items are more similar than each of h others.

        rows: (h,) places among the b queries. columns: (h,) places in the gallery.
        values: (h,) their similarities as the product has them.
        places: (h,) by those values; kept where no relevant item is equally similar.
        """
        out = places.copy()
        classes = self.task.query_class[self._numbers(rows)]
        order = np.argsort(classes, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(classes[order])) + 1)
        found = [self._candidates(rows[some], values[some]) for some in groups]
        hit = np.concatenate([some[one[1]] for some, one in zip(groups, found, strict=True)])
        candidates = np.concatenate([one[2] for one in found])
        nearer = np.zeros(len(rows), np.int64)
        for some, one in zip(groups, found, strict=True):
            nearer[some] = one[0]
        order_of = self._compare(rows[hit], candidates, columns[hit])
        tied = np.bincount(hit[order_of == 0], minlength=len(rows)) > 0
        nearer += np.bincount(hit[order_of > 0], minlength=len(rows))
        out[tied] = np.minimum(nearer, places)[tied]
        return out

    def equal(self, rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether two items are equally similar to a query, (h,). some, others: (h,) columns."""
        return self._compare(rows, some, others) == 0

    def settled(self, row: int, similarities: np.ndarray, depth: int) -> np.ndarray:
        """One query's similarities (N,) to the gallery with ties made equal, −inf beyond `depth`.

        depth: how many of the nearest items must be there; more are, where they tie.
        """
        last = np.partition(similarities, len(similarities) - depth)[len(similarities) - depth]
        reach = 2 * self.window(np.array([row]), last)
        columns = np.flatnonzero((similarities >= last - reach) & np.isfinite(similarities))
        rows = np.full(len(columns), row)
        columns = columns[np.argsort(self._exact(rows, columns))]
        out = np.full(len(similarities), -np.inf)
        out[columns[0]] = 0
        out[columns[1:]] = np.cumsum(self._compare(rows[1:], columns[1:], columns[:-1]) > 0)
        return out

    def _candidates(
        self, rows: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Relevant items that queries (h,) of one class may find as similar as `values` (h,).

        Returns how many are more similar beyond doubt (h,), and of each candidate which of the h
        it is for and its column.
        """
        task = self.task
        number = task.query_class[self._numbers(rows[0])]
        first, last = int(task.starts[number]), int(task.starts[number + 1])
        queries, which = np.unique(rows, return_inverse=True)
        relevant = task.queries.take(self._numbers(queries)) @ task.gallery.block(first, last).T
        if task.self_retrieval:
            relevant[np.arange(len(queries)), self._numbers(queries) - first] = -np.inf
        certain, hits, columns = np.zeros(len(rows), np.int64), [], []
        size = max(1, _CHUNK_NUMBERS // (last - first))
        for at in range(0, len(rows), size):
            some = slice(at, at + size)
            difference = relevant[which[some]] - values[some, None]
            reach = np.broadcast_to(2 * self.window(rows[some], values[some]), len(difference))
            certain[some] = (difference > reach[:, None]).sum(axis=1)
            hit, column = np.nonzero(abs(difference) <= reach[:, None])
            hits.append(hit + at)
            columns.append(column + first)
        return certain, np.concatenate(hits), np.concatenate(columns)

    def _compare(self, rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Whether `some` are more similar than `others`: (h,) 1, or −1; 0 if float64 cannot tell.

        rows: (h,) queries. some, others: (h,) columns.
        """
        if not self.task.lifted:
            difference = self._differences(rows, some, others)
            same = 2 * rounding(self.task.gallery.dim, np.dtype(np.float64))
            return np.where(abs(difference) <= same, 0, np.sign(difference)).astype(np.int8)
        out = np.empty(len(rows), np.int8)
        size = max(1, _CHUNK_NUMBERS // self.task.gallery.dim)
        for at in range(0, len(rows), size):
            part = slice(at, at + size)
            query = self.task.queries.exact(self._numbers(rows[part]))[:, :-1] / 2
            first, second = (
                self.task.gallery.exact(columns[part])[:, :-1] for columns in (some, others)
            )
            out[part] = _nearer(query, first, second)
        return out

    def _differences(self, rows: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Similarity to `some` less that to `others`, (h,) float64; exact where it is next to 0."""
        task, dtype = self.task, self.task.gallery.dtype
        if dtype == np.float64:
            return self._exact(rows, some) - self._exact(rows, others)
        out = np.empty(len(rows))
        size = max(1, _CHUNK_NUMBERS // task.gallery.dim)
        for at in range(0, len(rows), size):
            queries = task.queries.take(self._numbers(rows[at : at + size])).astype(np.float64)
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
        size = max(1, _CHUNK_NUMBERS // task.gallery.dim)
        for at in range(0, len(rows), size):
            queries = task.queries.exact(self._numbers(rows[at : at + size]))
            items = task.gallery.exact(columns[at : at + size])
            out[at : at + size] = np.einsum("hd,hd->h", queries, items)
        return out


def _products(queries: np.ndarray, items: np.ndarray) -> np.ndarray:
    """The products (h,) of queries and items (h, D), whose lengths are 1 except for rounding."""
    squares = np.einsum("hd,hd->h", items, items)
    return np.einsum("hd,hd->h", queries, items) / np.sqrt(np.where(squares > 0, squares, 1))


def _nearer(queries: np.ndarray, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether items are nearer to a query (h, D) than others: (h,) 1, or −1; 0 if unclear.

    ‖q − y‖² − ‖q − x‖² = (x − y)(2q − x − y) loses no digits to items that are long, or to an
    origin that is far. It is unclear within its own rounding and that of the values of q, x and y.
    """
    to_some, to_others, apart = queries - some, queries - others, some - others
    difference = np.einsum("hd,hd->h", apart, to_some + to_others)
    near, far, between, q, x, y = (
        np.sqrt(np.einsum("hd,hd->h", rows, rows))
        for rows in (to_some, to_others, apart, queries, some, others)
    )
    dim, double = queries.shape[1], np.dtype(np.float64)
    computed = rounding(dim, double) * between * (near + far)
    given = 4 * np.finfo(double).eps * (near * x + far * y + between * q)
    return np.where(abs(difference) <= computed + given, 0, np.sign(difference)).astype(np.int8)
