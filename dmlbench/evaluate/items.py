"""Queries and gallery in the order that makes ranking cheap: grouped by class, small classes first.

The items that are relevant to a query are then neighbours, and so are queries with equally many.
Legend: N gallery items, Q queries, D dimension, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dmlbench.evaluate.inputs import lift_items, lift_queries, normalise

_CHUNK_BYTES = 2**24

#: (rows, dtype, name, positions) -> the rows as they are multiplied.
Made = Callable[[np.ndarray, np.dtype, str, np.ndarray], np.ndarray]


class Rows:
    """Embeddings in a chosen order, as they are multiplied, given out block by block.

    They are copied once, or, with resident=False (a memory map larger than the memory to spare),
    read, checked and made again for every block. made: normalised, or lifted by one column.
    """

    def __init__(
        self,
        source: np.ndarray,
        order: np.ndarray,
        dtype: np.dtype,
        name: str,
        resident: bool,
        made: Made = normalise,
    ) -> None:
        self.source, self.order, self.dtype, self.name = source, order, dtype, name
        self.made, self.resident = made, resident
        self.dim = source.shape[1] + (made is not normalise)
        self._resident: np.ndarray | None = None
        self._last = (0, 0, np.empty((0, self.dim), dtype))
        if resident:
            rows = np.empty((len(order), self.dim), dtype)
            for start, stop in self.chunks():
                rows[start:stop] = self._read(start, stop)
            self._resident = rows

    def __len__(self) -> int:
        return len(self.order)

    @property
    def num_bytes(self) -> int:
        """What all rows take in memory."""
        return len(self) * self.dim * self.dtype.itemsize

    def block(self, start: int, stop: int) -> np.ndarray:
        """Rows start to stop, (stop − start, D)."""
        if self._resident is not None:
            return self._resident[start:stop]
        first, last, rows = self._last
        if not first <= start < stop <= last:
            first, rows = start, self._read(start, stop)
            self._last = (start, stop, rows)
        return rows[start - first : stop - first]

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Single rows, (len(indices), D)."""
        if self._resident is not None:
            return self._resident[indices]
        order = self.order[indices]
        return self.made(self.source[order], self.dtype, self.name, order)

    def exact(self, indices: np.ndarray) -> np.ndarray:
        """Single rows as they are multiplied, made in float64, (len(indices), D)."""
        order = self.order[indices]
        return self.made(self.source[order], np.dtype(np.float64), self.name, order)

    def chunks(self) -> list[tuple[int, int]]:
        """Ranges that cover all rows, each small enough to hold."""
        size = max(1, _CHUNK_BYTES // (self.dim * self.dtype.itemsize))
        return [(start, min(start + size, len(self))) for start in range(0, len(self), size)]

    def _read(self, start: int, stop: int) -> np.ndarray:
        order = self.order[start:stop]
        return self.made(self.source[order], self.dtype, self.name, order)


@dataclass(frozen=True)
class Duplicates:
    """Gallery items of different classes with one and the same embedding.

    A matrix product may give equal columns values that differ in the last digit, and equal
    similarities must tie: the values of these columns are computed once for each embedding.

    columns: (T,) positions in the sorted gallery, ascending. which: (T,) rows of `embeddings`.
    """

    columns: np.ndarray
    which: np.ndarray
    embeddings: np.ndarray


@dataclass(frozen=True)
class Task:
    """All that ranking needs to know. Classes are numbered in their sorted order.

    queries: the Q queries that have a relevant item; self retrieval: the first Q of `gallery`.
    symmetric: whether that is one and the same array, whose product with itself is symmetric.
    query_index: (Q,) where they are in what was handed in. query_class: (Q,) ascending.
    gallery_class: (N,) ascending. starts: (C + 1,) where each class starts in the gallery.
    lifted: whether queries are (2q, −1) and items (x, ‖x‖²), so products order by distance.
    """

    queries: Rows
    query_index: np.ndarray
    query_class: np.ndarray
    gallery: Rows
    gallery_class: np.ndarray
    starts: np.ndarray
    self_retrieval: bool
    symmetric: bool
    duplicates: Duplicates | None
    lifted: bool = False

    @property
    def num_relevant(self) -> np.ndarray:
        """(Q,) how many items are relevant to each query; none is 0."""
        return np.diff(self.starts)[self.query_class] - self.self_retrieval


def prepare(
    queries: np.ndarray,
    query_labels: np.ndarray,
    gallery: np.ndarray | None,
    gallery_labels: np.ndarray | None,
    dtype: np.dtype,
    resident_bytes: int,
    metric: str = "cosine",
) -> Task:
    """Sort and normalise queries and gallery; with gallery None each query searches the others.

    metric: "cosine", or "euclidean" to lift them instead, so products order by distance.
    Raises ValueError on NaN and infinities, and if no query has a relevant item.
    """
    self_retrieval = gallery is None
    if gallery is None or gallery_labels is None:
        gallery, gallery_labels = queries, query_labels
    classes, class_of = np.unique(
        np.concatenate([query_labels, gallery_labels]), return_inverse=True
    )
    query_class, gallery_class = class_of[: len(queries)], class_of[len(queries) :]
    sizes = np.bincount(gallery_class, minlength=len(classes))
    asked = (np.bincount(query_class, minlength=len(classes)) > 0) & (sizes > self_retrieval)
    place = np.empty(len(classes), np.int64)
    place[np.lexsort((sizes, ~asked))] = np.arange(len(classes))
    query_class, gallery_class = place[query_class], place[gallery_class]

    scored = np.flatnonzero(query_class < asked.sum())
    query_index = scored[np.argsort(query_class[scored], kind="stable")]
    order = np.argsort(gallery_class, kind="stable")
    resident = not isinstance(gallery, np.memmap) or gallery.nbytes <= resident_bytes
    symmetric = self_retrieval and metric == "cosine"
    as_queries, as_items = (
        (normalise, normalise) if metric == "cosine" else (lift_queries, lift_items)
    )
    items = Rows(
        gallery, order, dtype, "embeddings" if self_retrieval else "gallery", resident, as_items
    )
    duplicates = _find_duplicates(items, gallery_class[order])
    query_rows = items
    if not self_retrieval:
        _check_finite(queries, np.setdiff1d(np.arange(len(queries)), scored), dtype)
    if not symmetric:
        # A self retrieval's queries are in the order of the gallery, and its first items.
        query_rows = Rows(queries, query_index, dtype, "embeddings", True, as_queries)
    if not len(scored):
        raise ValueError(
            "No query has a relevant item: "
            + ("every class has one item." if self_retrieval else "no class is in the gallery.")
        )
    return Task(
        queries=query_rows,
        query_index=query_index,
        query_class=query_class[query_index],
        gallery=items,
        gallery_class=gallery_class[order],
        starts=np.concatenate([[0], np.cumsum(sizes[np.argsort(place)])]),
        self_retrieval=self_retrieval,
        symmetric=symmetric,
        duplicates=duplicates,
        lifted=metric != "cosine",
    )


def _check_finite(queries: np.ndarray, skipped: np.ndarray, dtype: np.dtype) -> None:
    rows = Rows(queries, skipped, dtype, "embeddings", resident=False)
    for start, stop in rows.chunks():
        rows.block(start, stop)


def _find_duplicates(items: Rows, classes: np.ndarray) -> Duplicates | None:
    """The items that share their embedding with an item of another class; None without any."""
    hashes = np.concatenate([_hash(items.block(*chunk)) for chunk in items.chunks()])
    _, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    columns = np.flatnonzero(counts[which] > 1)
    if not len(columns):
        return None
    rows = items.take(columns)
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    lowest = np.full(len(first), np.iinfo(np.int64).max)
    highest = np.full(len(first), -1)
    np.minimum.at(lowest, which, classes[columns])
    np.maximum.at(highest, which, classes[columns])
    mixed = lowest < highest
    if not mixed.any():
        return None
    member = mixed[which]
    return Duplicates(columns[member], (np.cumsum(mixed) - 1)[which[member]], rows[first[mixed]])


def _hash(rows: np.ndarray) -> np.ndarray:
    """64 bits (N,) that are equal for equal rows, and for others almost never."""
    words = rows.view(np.uint64 if rows.shape[1] * rows.itemsize % 8 == 0 else np.uint32)
    factors = np.random.default_rng(0).integers(
        2**63, size=words.shape[1], dtype=np.uint64
    ) | np.uint64(1)
    return np.einsum("nd,d->n", words, factors, dtype=np.uint64, casting="unsafe")
