"""The metrics of entries under their column names: values by seed, and intervals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dmlbench.errors import UsageError
from dmlbench.evaluate.metrics import metric_columns, metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial import Metrics
from dmlbench.statistics.intervals import Interval, mean_interval

DEFAULT_METRIC = "map_at_r"


def metric_names(entries: Iterable[Entry], more_ks: Iterable[int] = ()) -> list[str]:
    """Every metric column of these entries: Recall@K for each K that occurs, then the others."""
    trials = [trial for entry in entries for trial in entry.completed]
    return metric_columns({*more_ks, *(int(k) for t in trials for k in t.metrics.recall_at)} or {1})


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


def metric_title(name: str, short: bool = False) -> str:
    """How a metric is written for people: ``Recall@1``, or ``R@1`` over a table's column."""
    return metric_spec(name).heading if short else metric_spec(name).title


def metric_value(metrics: Metrics, name: str) -> float | None:
    """One metric of one trial, as a fraction; None where it was not measured."""
    k = recall_depth(name)
    return getattr(metrics, name) if k is None else metrics.recall_at.get(str(k))


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
