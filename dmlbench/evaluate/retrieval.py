"""Retrieval metrics, exactly: embeddings in, Recall@K, MAP@R, R-Precision, kNN accuracy out.

Legend: Q queries, N gallery items, D width, R relevant items of a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmlbench.evaluate.inputs import as_embeddings, as_labels, normalise, working_dtype


@dataclass(frozen=True)
class PerQuery:
    """The scores of each scored query, Q of them, in the order in which the queries were given.

    query_index: (Q,) int64, which queries were scored: positions in the embeddings handed in.
    recall_at: K -> (Q,) bool. average_precision_at_r, r_precision: (Q,) float64.
    knn_correct: (Q,) bool.
    """

    query_index: np.ndarray
    recall_at: dict[int, np.ndarray]
    average_precision_at_r: np.ndarray
    r_precision: np.ndarray
    knn_correct: np.ndarray


@dataclass(frozen=True)
class RetrievalResult:
    """Means over the scored queries, as fractions.

    num_queries: Q, the queries scored. num_skipped: those left out, having no relevant item.
    """

    recall_at: dict[int, float]
    map_at_r: float
    r_precision: float
    knn_accuracy: float
    num_queries: int
    num_skipped: int
    per_query: PerQuery


def retrieval(
    embeddings: Any,
    labels: Any,
    gallery: Any = None,
    gallery_labels: Any = None,
    ks: Iterable[int] = (1, 2, 4, 8),
    *,
    knn_k: int = 3,
    device: Any = None,
    block_bytes: int = 2**28,
) -> RetrievalResult:
    """First version."""
    queries = as_embeddings(embeddings, "embeddings")
    query_labels = as_labels(labels, "labels", len(queries))
    self_retrieval = gallery is None
    items = queries if self_retrieval else as_embeddings(gallery, "gallery")
    item_labels = (
        query_labels if self_retrieval else as_labels(gallery_labels, "gallery_labels", len(items))
    )
    dtype = working_dtype(queries, items)
    x = normalise(queries, dtype, "embeddings")
    g = x if self_retrieval else normalise(items, dtype, "gallery")
    unique, expand = np.unique(g, axis=0, return_inverse=True)
    block = max(1, block_bytes // (8 * 4 * len(g)))
    ks = tuple(ks)
    out = []
    for a in range(0, len(x), block):
        sims = (x[a : a + block] @ unique.T)[:, expand.ravel()]
        for j, row in enumerate(sims):
            relevant = item_labels == query_labels[a + j]
            keep = np.ones(len(g), bool)
            if self_retrieval:
                keep[a + j] = False
            if not (relevant & keep).any():
                continue
            order = np.lexsort((relevant[keep], -row[keep]))
            hits = relevant[keep][order]
            r = hits.sum()
            precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
            near = item_labels[keep][order][:knn_k]
            counts = {c: (near == c).sum() for c in near}
            winner = max(near, key=lambda c: counts[c])
            out.append((
                a + j,
                int(hits.argmax()) + 1,
                (precision * hits)[:r].sum() / r,
                hits[:r].mean(),
                winner == query_labels[a + j],
            ))
    if not out:
        raise ValueError("no query has a relevant item")
    index, first, ap, rp, knn = (np.array(c) for c in zip(*out, strict=True))
    recall = {k: first <= k for k in ks}
    return RetrievalResult(
        recall_at={k: float(v.mean()) for k, v in recall.items()},
        map_at_r=float(ap.mean()),
        r_precision=float(rp.mean()),
        knn_accuracy=float(knn.mean()),
        num_queries=len(out),
        num_skipped=len(x) - len(out),
        per_query=PerQuery(index, recall, ap, rp, knn),
    )
