"""Do two evaluations give the same metrics, up to what rounding may do?"""

from __future__ import annotations

from dmlbench.evaluate.metrics import metric_columns, metric_spec
from dmlbench.leaderboard.entries.metrics import (
    metric_value,
)
from dmlbench.leaderboard.entries.trial import Metrics


def same_metrics(one: Metrics, other: Metrics) -> bool:
    """Whether two evaluations of the same embeddings are equal, up to another machine's rounding.

    Recall may differ by one query; NMI and AMI by 0.005, and either side may lack them.
    """
    return not different_metrics(one, other)


def different_metrics(one: Metrics, other: Metrics, within: float | None = None) -> list[str]:
    """The columns in which two evaluations differ; what one of them lacks is not a difference.

    within: how far numbers may be apart; None for what rounding on another machine may do to an
        evaluation of the same embeddings.
    """
    if (one.num_queries, one.num_skipped) != (other.num_queries, other.num_skipped):
        return ["num_queries"]
    if one.recall_at.keys() != other.recall_at.keys():
        return ["recall_at"]
    differing = []
    for metric in _columns(one):
        a, b = metric_value(one, metric), metric_value(other, metric)
        if a is None or b is None:
            continue
        if abs(a - b) > (_tolerance(metric, one.num_queries) if within is None else within):
            differing.append(metric)
    return differing


def largest_difference(pairs: list[tuple[Metrics, Metrics]]) -> tuple[str, float]:
    """The metric that differs most in any of the pairs, and by how much."""
    found = [("map_at_r", 0.0)]
    for one, other in pairs:
        for metric in _columns(one):
            a, b = metric_value(one, metric), metric_value(other, metric)
            if a is not None and b is not None:
                found.append((metric, abs(a - b)))
    return max(found, key=lambda item: item[1])


def _columns(metrics: Metrics) -> list[str]:
    return metric_columns(map(int, metrics.recall_at))


def _tolerance(name: str, num_queries: int) -> float:
    spec = metric_spec(name)
    # A query or so may be answered otherwise, whatever its share of the mean is.
    return max(spec.tolerance, 1.5 / max(1, num_queries)) if spec.per_query else spec.tolerance
