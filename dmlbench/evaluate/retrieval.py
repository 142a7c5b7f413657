"""Retrieval metrics, exactly: embeddings in, Recall@K, MAP@R, R-Precision, kNN accuracy out.

Legend: Q queries, N gallery items, D dimension, R relevant items of a query.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import numpy as np

from dmlbench.evaluate.inputs import as_embeddings, as_labels, validate_ks, working_dtype
from dmlbench.evaluate.items import prepare
from dmlbench.evaluate.metrics import METRICS, PerQuery, RetrievalResult
from dmlbench.evaluate.scores import Scores

BLOCK_BYTES = 2**28


def retrieval(
    embeddings: Any,
    labels: Any,
    gallery: Any = None,
    gallery_labels: Any = None,
    ks: Iterable[int] = (1, 2, 4, 8),
    *,
    knn_k: int = 3,
    metric: str = "cosine",
    device: Any = None,
    block_bytes: int | None = None,
) -> RetrievalResult:
    """Score how well the embeddings find items of the same class by cosine or distance.

    embeddings: (Q, D) tensor or array, real; normalised here. float64 is compared in float64,
        everything narrower in float32. A zero vector has similarity 0 to all.
    labels: (Q,) integers.
    gallery, gallery_labels: (N, D), (N,) what is searched. Without them each query searches the
        other embeddings, itself left out by its index. A memory map larger than block_bytes (by
        default 256 MiB) is read piece by piece.
    ks: the K of Recall@K, each at least 1; more than N is as good as N.
    knn_k: how many neighbours vote for the kNN accuracy.
    metric: "cosine", or "euclidean" to compare the embeddings as they are, in float64; the nearer
        two are, the more similar.
    device: where to multiply, "cpu", "cuda", ...; by default where the embeddings are.
    block_bytes: memory of the device to use above a copy of the embeddings; None for 256 MiB, on
        CUDA for a quarter of what is free there, 8 GiB at most. The N x N matrix never exists.

    Raises ValueError on shapes that do not fit, labels that are not integers, NaN or infinity,
    K below 1, another metric, a device that is not there, and if no query has a relevant item.

    The rank of a relevant item counts every non-relevant item at least as similar: equal
    similarities count against the query. Items with one and the same normalised embedding are
    always equally similar; of others, similarities that are within the rounding of the
    precision that they are compared in are compared again in float64, and tie if that cannot tell
    them apart (`dmlbench.evaluate.near_ties`). Queries without a relevant item are skipped
    and counted. Of each other query, with R > 0 relevant items:

    - Recall@K: 1 if a relevant item has a rank up to K.
    - R-Precision: relevant items with a rank up to R, over R.
    - MAP@R: (1/R) sum over i = 1..R of P(i) rel(i), P(i) the precision among the i nearest
      (Musgrave et al., A Metric Learning Reality Check, ECCV 2020, arXiv 2003.08505).
    - kNN accuracy: 1 if the query's class has the most votes of the knn_k nearest, or of all
      items where there are fewer. Of classes with equally many votes the one with the nearest
      item wins. Equally similar items of other classes vote in the way that is worst for the
      query: it is right only if it is right in every order of equals.

        >>> found = retrieval([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [1, 1]], [0, 0, 1, 1, 2])
        >>> found.recall_at[1], found.map_at_r, found.num_queries, found.num_skipped
        (1.0, 1.0, 4, 1)
    """
    ks = validate_ks(ks, "ks")
    validate_ks([knn_k], "knn_k")
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric is {metric!r}; it must be 'cosine' or 'euclidean'.")
    if (gallery is None) != (gallery_labels is None):
        raise ValueError("gallery and gallery_labels belong together; only one was given.")
    device = _device(embeddings) if device is None else str(device)
    rows = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(rows))
    arrays = [rows]
    if gallery is not None:
        gallery = as_embeddings(gallery, "gallery")
        gallery_labels = as_labels(gallery_labels, "gallery_labels", len(gallery))
        if gallery.shape[1] != rows.shape[1]:
            raise ValueError(
                f"embeddings have {rows.shape[1]} dimensions and gallery has {gallery.shape[1]}; "
                "both must come from the same model."
            )
        arrays.append(gallery)
    # A distance is a small difference of large products.
    dtype = working_dtype(*arrays) if metric == "cosine" else np.dtype(np.float64)
    in_memory = BLOCK_BYTES if block_bytes is None else block_bytes
    task = prepare(rows, classes, gallery, gallery_labels, dtype, in_memory, metric)
    if device == "cpu":
        from dmlbench.evaluate import tiles

        parts = list(tiles.scan(task, max(ks, default=1), knn_k, in_memory))
    else:
        from dmlbench.evaluate import rowwise

        parts = list(rowwise.scan(task, max(ks, default=1), knn_k, block_bytes, device))
    return _result(parts, task.query_index, ks, len(rows))


def _device(embeddings: Any) -> str:
    return str(embeddings.device) if hasattr(embeddings, "detach") else "cpu"


def _result(
    parts: list[Scores], query_index: np.ndarray, ks: tuple[int, ...], num_given: int
) -> RetrievalResult:
    """The scores in the order of the queries, and their means."""
    order = np.argsort(query_index)
    scores = Scores(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])[order]
            for field in fields(Scores)
        )
    )
    per_query = PerQuery(
        query_index=query_index[order],
        recall_at={k: scores.misses < k for k in ks},
        **{name: values for name, values in vars(scores).items() if name != "misses"},
    )
    means = {
        spec.name: float(spec.per_query(per_query).mean()) for spec in METRICS if spec.per_query
    }
    return RetrievalResult(
        recall_at={k: float(hit.mean()) for k, hit in per_query.recall_at.items()},
        **means,
        num_queries=len(order),
        num_skipped=num_given - len(order),
        per_query=per_query,
    )
