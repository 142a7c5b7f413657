"""Every metric of embeddings with the interval over classes: what `dmlbench evaluate` shows.

Legend: Q queries, M metrics.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmlbench.errors import UsageError
from dmlbench.evaluate.clustering import ClusteringResult, clustering
from dmlbench.evaluate.embedding_file import LabelledEmbeddings
from dmlbench.evaluate.label_values import numbered
from dmlbench.evaluate.metrics import METRICS, metric_columns, metric_spec
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.statistics.bootstrap import RESAMPLES, class_intervals
from dmlbench.statistics.intervals import Interval


@dataclass(frozen=True)
class Scored:
    """Metrics as fractions, with the interval over test classes where they are means over queries.

    metrics: by the metric's name, such as ``recall_at_1``; NMI and AMI have no interval.
    num_queries, num_skipped: scored queries, and those without a relevant item.
    num_classes: of the scored queries. num_gallery: items searched; None where queries search each
        other. dimension: of the embeddings.
    """

    metrics: dict[str, Interval]
    num_queries: int
    num_skipped: int
    num_classes: int
    num_gallery: int | None
    dimension: int


def score_labelled(
    queries: LabelledEmbeddings,
    gallery: LabelledEmbeddings | None = None,
    *,
    ks: Iterable[int] = (1, 2, 4, 8),
    similarity: str = "cosine",
    cluster: bool = True,
    resamples: int = RESAMPLES,
) -> Scored:
    """Score embeddings that `dmlbench.evaluate.labelled.read_labelled` read.

    gallery: what is searched instead of the queries themselves, or of the gallery in their file.
    cluster: whether to compute NMI and AMI of the queries.
    Raises `UsageError` for sets that do not fit together, `FaissMissing` without faiss.
    """
    rows, labels = searched(queries, gallery)
    if queries.labels is None:
        raise UsageError(f"{queries.path} has no labels.")
    classes = numbered(queries.labels, *([] if labels is None else [labels]))
    try:
        found = retrieval(
            queries.embeddings,
            classes[0],
            rows,
            classes[1] if labels is not None else None,
            ks=ks,
            metric=similarity,
        )
    except ValueError as error:
        raise UsageError(f"{queries.path}: {error}") from error
    clusters = clustering(queries.embeddings, classes[0], metric=similarity) if cluster else None
    names = metric_columns(found.recall_at)
    per_query = {
        name: spec.per_query(found.per_query)
        for name, spec in ((name, metric_spec(name)) for name in names)
        if spec.per_query is not None
    }
    of_queries = classes[0][found.per_query.query_index]
    intervals = class_intervals(np.stack(list(per_query.values())), of_queries, resamples)
    return Scored(
        metrics=dict(zip(per_query, intervals, strict=True)) | _of_clusters(clusters),
        num_queries=found.num_queries,
        num_skipped=found.num_skipped,
        num_classes=len(np.unique(of_queries)),
        num_gallery=None if rows is None else len(rows),
        dimension=queries.embeddings.shape[1],
    )


def searched(
    queries: LabelledEmbeddings, gallery: LabelledEmbeddings | None
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Rows and labels of what is searched; None where queries search each other.

    Raises `UsageError` for sets that do not fit together.
    """
    if gallery is None:
        return queries.gallery, queries.gallery_labels
    if queries.gallery is not None:
        raise UsageError(
            f"{queries.path} holds a gallery, and {gallery.path} is another one; give one of them."
        )
    if gallery.gallery is not None:
        raise UsageError(f"{gallery.path} holds queries and a gallery; it must hold one set.")
    if gallery.embeddings.shape[1] != queries.embeddings.shape[1]:
        raise UsageError(
            f"The embeddings of {queries.path} have {queries.embeddings.shape[1]} dimensions and "
            f"those of {gallery.path} {gallery.embeddings.shape[1]}; both must come from one model."
        )
    return gallery.embeddings, gallery.labels


def _of_clusters(clusters: ClusteringResult | None) -> dict[str, Interval]:
    names = [spec.name for spec in METRICS if spec.per_query is None]
    values: dict[str, Any] = {} if clusters is None else vars(clusters)
    return {name: Interval(values[name], None, None) for name in names if name in values}
