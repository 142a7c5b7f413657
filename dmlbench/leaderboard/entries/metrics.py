"""The metrics of entries under their column names: values by seed, intervals, titles."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial import Metrics
from dmlbench.statistics.intervals import Interval, mean_interval

DEFAULT_METRIC = "map_at_r"
_RECALL = "recall_at_"
# Column name -> (title in sentences, title of a table's column).
_TITLES = {
    "map_at_r": ("MAP@R", "MAP@R"),
    "r_precision": ("R-Precision", "R-Prec"),
    "knn_accuracy": ("kNN accuracy", "kNN"),
    "nmi": ("NMI", "NMI"),
    "ami": ("AMI", "AMI"),
}


def metric_names(entries: Iterable[Entry], more_ks: Iterable[int] = ()) -> list[str]:
    """Every metric column of these entries: Recall@K for each K that occurs, then the others."""
    trials = [trial for entry in entries for trial in entry.completed]
    ks = set(more_ks) | {int(k) for trial in trials for k in trial.metrics.recall_at}
    return [f"{_RECALL}{k}" for k in sorted(ks or {1})] + list(_TITLES)


def resolve_metric(name: str, known: Iterable[str]) -> str:
    """The column that a user means: ``recall_at_1``, ``Recall@1``, ``R@1`` and ``MAP@R`` all do.

    Raises `UsageError` naming the metrics there are.
    """
    known = list(known)
    column = name.strip().lower().replace("@", "_at_").replace("-", "_")
    if column.startswith("r_at_"):
        column = f"recall_at_{column.removeprefix('r_at_')}"
    if column in known:
        return column
    close = difflib.get_close_matches(column, known, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UsageError(f"There is no metric {name!r} here.{hint} Known: {', '.join(known)}.")


def is_metric(column: str) -> bool:
    """Whether a column of a leaderboard's frame holds the mean of a metric."""
    return column in _TITLES or column.removeprefix(_RECALL).isdecimal()


def metric_title(metric: str, short: bool = False) -> str:
    """How a metric is written for people: ``Recall@1``, or ``R@1`` in a table's column."""
    if metric in _TITLES:
        return _TITLES[metric][short]
    return f"{'R' if short else 'Recall'}@{metric.removeprefix(_RECALL)}"


def metric_value(metrics: Metrics, metric: str) -> float | None:
    """One metric of one trial, as a fraction; None where it was not measured."""
    if metric in _TITLES:
        return getattr(metrics, metric)
    return metrics.recall_at.get(metric.removeprefix(_RECALL))


def values_by_seed(entry: Entry, metric: str) -> dict[int, float]:
    """The metric of every completed trial that measured it, by seed in ascending order."""
    values = {trial.seed: metric_value(trial.metrics, metric) for trial in entry.completed}
    return {seed: values[seed] for seed in sorted(values) if values[seed] is not None}


def metric_interval(entry: Entry, metric: str) -> Interval | None:
    """Mean and interval over the completed trials; None unless every one of them measured it.

    A mean over some of the seeds would stand beside means over all of them in the same row.
    """
    values = values_by_seed(entry, metric)
    if not values or len(values) < len(entry.completed):
        return None
    return mean_interval(list(values.values()))
