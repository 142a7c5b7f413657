"""The metrics: one table that scoring, entries, comparison, tables and pages go by.

Legend: Q queries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from dmlbench.evaluate.clustering import ClusteringResult

RECALL = "recall_at_"
# A similarity that another processor rounds otherwise may swap two neighbours: a query or so.
QUERY_TOLERANCE = 1e-4
# k-means amplifies rounding: from the same start it may end in another local minimum.
CLUSTERING_TOLERANCE = 5e-3


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


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric that an entry has.

    name: its field in results and entries, and its column in frames and files.
    title: in sentences. heading: over a table's column.
    unit: of the number that people read; results, entries and files have fractions.
    per_query: the scores (Q,) whose mean it is; None where it is a number of the whole test set.
    optional: whether a trial may lack it.
    tolerance: by how much another machine may compute it differently from the same embeddings.
    lowest: the least value; the greatest is 1.
    shown: whether tables show it without being asked.
    """

    name: str
    title: str
    heading: str
    unit: str = "%"
    per_query: Callable[[PerQuery], np.ndarray] | None = None
    optional: bool = False
    tolerance: float = QUERY_TOLERANCE
    lowest: float = 0.0
    shown: bool = False


#: In the order of columns; Recall@K is before them.
METRICS = (
    MetricSpec(
        name="map_at_r",
        title="MAP@R",
        heading="MAP@R",
        per_query=attrgetter("average_precision_at_r"),
        shown=True,
    ),
    MetricSpec(
        name="r_precision",
        title="R-Precision",
        heading="R-Prec",
        per_query=attrgetter("r_precision"),
        shown=True,
    ),
    MetricSpec(
        name="knn_accuracy",
        title="kNN accuracy",
        heading="kNN",
        per_query=attrgetter("knn_correct"),
    ),
    MetricSpec(
        name="nmi",
        title="NMI",
        heading="NMI",
        optional=True,
        tolerance=CLUSTERING_TOLERANCE,
        shown=True,
    ),
    MetricSpec(
        name="ami",
        title="AMI",
        heading="AMI",
        optional=True,
        tolerance=CLUSTERING_TOLERANCE,
        lowest=-1.0,
    ),
)
_BY_NAME = {spec.name: spec for spec in METRICS}


def recall(k: int) -> MetricSpec:
    """Recall@K as a metric, which the field `recall_at` has for every K of the protocol."""
    return MetricSpec(
        name=f"{RECALL}{k}",
        title=f"Recall@{k}",
        heading=f"R@{k}",
        per_query=lambda scores: scores.recall_at[k],
        shown=True,
    )


def recall_depth(name: str) -> int | None:
    """The K of a Recall@K by its name; None for another name.

    >>> recall_depth("recall_at_10"), recall_depth("map_at_r")
    (10, None)
    """
    k = name.removeprefix(RECALL)
    return int(k) if name.startswith(RECALL) and k.isdecimal() else None


def metric_spec(name: str) -> MetricSpec:
    """The metric of a column. Raises KeyError for a column that is not one.

    >>> metric_spec("recall_at_4").title, metric_spec("map_at_r").per_query is None
    ('Recall@4', False)
    """
    k = recall_depth(name)
    return _BY_NAME[name] if k is None else recall(k)


def is_metric(name: str) -> bool:
    """Whether a column holds a metric."""
    return name in _BY_NAME or recall_depth(name) is not None


def metric_columns(ks: Iterable[int]) -> list[str]:
    """Every metric's column, Recall@K of these K in ascending order first."""
    return [f"{RECALL}{k}" for k in sorted(ks)] + [spec.name for spec in METRICS]


def metric_values(scores: RetrievalResult, clusters: ClusteringResult | None) -> dict[str, Any]:
    """All metrics of a test set as JSON values, in the fields of an entry's `Metrics`.

    clusters: None where the embeddings were not clustered; metrics of clusters are None then.
    """
    values: dict[str, Any] = {"recall_at": {str(k): v for k, v in scores.recall_at.items()}}
    for spec in METRICS:
        source = scores if spec.per_query else clusters
        values[spec.name] = None if source is None else getattr(source, spec.name)
    return values | {"num_queries": scores.num_queries, "num_skipped": scores.num_skipped}
