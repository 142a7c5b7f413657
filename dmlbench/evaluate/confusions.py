"""With which class each query is confused: that of its nearest item of another class.

Legend: Q queries, N items searched, D dimension, b queries looked at together.
"""

from __future__ import annotations

import numpy as np

from dmlbench.evaluate.inputs import lift_items, lift_queries, normalise, working_dtype

# Similarities held at once.
_BLOCK_BYTES = 2**26


def nearest_other_class(
    embeddings: np.ndarray,
    labels: np.ndarray,
    queries: np.ndarray,
    gallery: np.ndarray | None = None,
    gallery_labels: np.ndarray | None = None,
    metric: str = "cosine",
) -> np.ndarray:
    """The label of the nearest item of another class, for some of the queries.

    embeddings: (Q, D) float; labels: (Q,) int64. queries: (q,) int64, rows of embeddings.
    gallery: (N, D) and gallery_labels: (N,) int64, what is searched; None: the embeddings.
    metric: "cosine" or "euclidean", compared in the precision of `dmlbench.evaluate.retrieval`.
    Gives (q,) int64. Of items whose computed similarities are equal, the first one counts.
    Raises ValueError on NaN and infinity, and where no item has another class.
    """
    if gallery is None or gallery_labels is None:
        gallery, gallery_labels = embeddings, labels
    if len(np.unique(gallery_labels)) < 2:
        raise ValueError("All items have one class; none can be confused with another.")
    if metric == "cosine":
        dtype, as_query, as_item = working_dtype(embeddings, gallery), normalise, normalise
    else:
        dtype, as_query, as_item = np.dtype(np.float64), lift_queries, lift_items
    items = as_item(gallery, dtype, "gallery", np.arange(len(gallery)))
    step = max(1, _BLOCK_BYTES // (len(items) * dtype.itemsize))
    found = np.empty(len(queries), np.int64)
    for start in range(0, len(queries), step):
        block = queries[start : start + step]
        similarities = as_query(embeddings[block], dtype, "embeddings", block) @ items.T  # (b, N)
        similarities[labels[block, None] == gallery_labels] = -np.inf
        found[start : start + step] = gallery_labels[similarities.argmax(axis=1)]
    return found
