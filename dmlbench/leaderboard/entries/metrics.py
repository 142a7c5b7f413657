"""The metrics of entries under their column names: values by trial, and intervals."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from dmlbench.errors import UsageError
from dmlbench.evaluate.metrics import metric_columns, metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial import Metrics
from dmlbench.statistics.intervals import Interval, Key, by_unit, mean_interval

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


def values_by_trial(entry: Entry, metric: str) -> dict[Key, float]:
    """The metric by (split, seed), in order: 0 for a trial that failed.

    A failure that were left out would raise the mean: the trials that fail are the bad ones.
    Completed trials that did not measure the metric are left out.
    """
    values = {
        trial.key: 0.0 if trial.metrics is None else metric_value(trial.metrics, metric)
        for trial in entry.trials
    }
    return {key: value for key, value in sorted(values.items()) if value is not None}


def completed_values(entry: Entry, metric: str) -> dict[Key, float]:
    """As `values_by_trial`, without the trials that failed."""
    done = {trial.key for trial in entry.completed}
    return {k: value for k, value in values_by_trial(entry, metric).items() if k in done}


def metric_interval(entry: Entry, metric: str) -> Interval | None:
    """Mean and interval over all trials, a failed one as 0; over splits where there are several.

    None unless every completed trial measured the metric: a mean over some of the trials is not
    comparable with the means over all of them in the same row.
    """
    values = values_by_trial(entry, metric)
    if not values or len(values) < len(entry.trials):
        return None
    return mean_interval(by_unit(values))
