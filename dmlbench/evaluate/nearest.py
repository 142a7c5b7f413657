"""The nearest items of other classes, which vote beside a query's own.

Legend: b queries of a block, k neighbours that vote, h hits.
"""

from __future__ import annotations

import numpy as np

#: Rows (h,) in the block, columns (h,) in the gallery, similarities (h,).
Hits = tuple[np.ndarray, np.ndarray, np.ndarray]


class NearestNegatives:
    """The k most similar non-relevant items of b queries, exact wherever their vote is open.

    similarities, columns: (b, k), descending, padded with −inf. columns: places in the gallery.
    floor: (b,) similarities under which an item is none of the k.
    """

    def __init__(self, num_queries: int, k: int, dtype: np.dtype) -> None:
        self.k = k
        self.similarities = np.full((num_queries, k), -np.inf, dtype)
        self.columns = np.zeros((num_queries, k), np.int64)
        # Above −inf, which stands for what is no candidate.
        self.floor = np.full(num_queries, np.finfo(dtype).min)

    def raise_floor(self, floor: np.ndarray) -> None:
        """To a similarity (b,) that k items are known to reach."""
        self.floor = np.maximum(self.floor, floor)

    def least(self) -> np.ndarray:
        """The similarity (b,) that an item must exceed, or reach at the floor, to be one of k."""
        return np.maximum(self.similarities[:, -1], self.floor)

    def add(self, hits: Hits, open_vote: np.ndarray) -> None:
        """Merge the hits of queries whose vote is open, (b,), into their k."""
        rows, columns, values = hits
        new = values >= self.floor[rows]
        new &= values > self.similarities[rows, -1]
        new &= open_vote[rows]
        rows, columns, values = rows[new], columns[new], values[new]
        if not len(rows):
            return
        changed, local = np.unique(rows, return_inverse=True)
        rows = np.concatenate([np.repeat(np.arange(len(changed)), self.k), local])
        values = np.concatenate([self.similarities[changed].reshape(-1), values])
        columns = np.concatenate([self.columns[changed].reshape(-1), columns])
        order = np.lexsort((-values, rows))
        first = np.searchsorted(rows[order], np.arange(len(changed)))
        best = order[first[:, None] + np.arange(self.k)]
        self.similarities[changed], self.columns[changed] = values[best], columns[best]
