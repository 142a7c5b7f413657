"""What the page of one entry shows, as plain text and numbers for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.comparison.outcome import Verdict
from dmlbench.leaderboard.entries.descriptions import distributions, failures
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels, loss_names
from dmlbench.leaderboard.entries.metrics import (
    metric_interval,
    metric_names,
    metric_title,
    metric_value,
    values_by_trial,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.site.command import rerun_command
from dmlbench.leaderboard.site.training_course import charts, epoch_table
from dmlbench.leaderboard.views.columns import percent
from dmlbench.leaderboard.views.describe import (
    configuration_rows,
    environment_lines,
    memory,
    seconds,
)
from dmlbench.plan.protocol import caution, refits


def entry_page(
    entry: Entry, row: Mapping[str, Any], verdicts: Sequence[Verdict], by: str
) -> dict[str, Any]:
    """The values of the template ``entry.html`` that the entry itself decides.

    row: of `leaderboard_frame`; verdicts: those that speak of the entry.
    """
    trials = sorted(entry.completed, key=lambda trial: trial.key)
    epochs, courses = epoch_table(entry)
    return {
        "title": Labels([entry]).row(entry),
        "entry": entry,
        "row": row,
        "caution": caution(entry.protocol.name),
        "headline": [_headline(entry, metric) for metric in dict.fromkeys([by, "recall_at_1"])],
        "verdicts": verdicts,
        "failures": failures(entry),
        "metrics": _metrics(entry, trials),
        "weights": _weights(entry, trials),
        "costs": _costs(entry),
        "environment": environment_lines(entry),
        "configuration": _configuration(entry),
        "charts": charts(entry),
        "epoch_titles": epochs,
        "epoch_rows": courses,
        "distributions": distributions(entry),
        **_reproduction(entry),
    }


def _headline(entry: Entry, metric: str) -> tuple[str, str, str]:
    """Title, mean in percent and the interval in words."""
    interval = metric_interval(entry, metric)
    if interval is None:
        return metric_title(metric), percent(None), "not measured in every completed trial"
    if not entry.completed:
        return metric_title(metric), percent(interval.mean), "no trial completed: counts as 0"
    if interval.low is None:
        return metric_title(metric), percent(interval.mean), "one trial, so no interval"
    low, high = percent(interval.low), percent(interval.high)
    return metric_title(metric), percent(interval.mean), f"95 % interval {low} to {high}"


def _metrics(entry: Entry, trials: Sequence[Trial]) -> dict[str, Any]:
    """The metrics seed by seed, their mean and the ends of the interval, in percent."""
    names = [name for name in metric_names([entry]) if values_by_trial(entry, name)]
    intervals = [metric_interval(entry, name) for name in names]
    closing = []
    if len(entry.trials) > 1:
        closing = [
            ("mean", [percent(i.mean if i else None) for i in intervals]),
            ("low", [percent(i.low if i else None) for i in intervals]),
            ("high", [percent(i.high if i else None) for i in intervals]),
        ]
    return {
        "titles": [metric_title(name) for name in names],
        "rows": [
            (
                trial.number,
                trial.best_epoch,
                percent(trial.validation_map_at_r),
                [percent(metric_value(trial.metrics, name)) for name in names],
            )
            for trial in trials
        ],
        "closing": closing,
        "refit": refits(entry.protocol.rules),
        "queries": sorted({(t.metrics.num_queries, t.metrics.num_skipped) for t in trials}),
    }


def _weights(entry: Entry, trials: Sequence[Trial]) -> dict[str, Any] | None:
    """The learned weights of the losses at the tested epoch, seed by seed."""
    weighted = [t for t in trials if t.weights and len(t.weights) == len(entry.losses)]
    if not weighted:
        return None
    return {
        "titles": loss_names(entry),
        "rows": [(trial.number, [f"{w:.4f}" for w in trial.weights]) for trial in weighted],
    }


def _costs(entry: Entry) -> list[tuple[str, ...]]:
    return [
        (
            trial.number,
            trial.status,
            seconds(trial.cost.device_seconds),
            seconds(trial.cost.process_seconds),
            seconds(trial.cost.train_seconds),
            seconds(trial.cost.evaluate_seconds),
            memory(trial.cost.peak_memory_bytes),
            memory(trial.cost.peak_device_memory_bytes),
        )
        for trial in sorted(entry.trials, key=lambda trial: trial.key)
    ]


def _configuration(entry: Entry) -> list[tuple[str, list[str]]]:
    """Names, each with its lines."""
    found: list[tuple[str, list[str]]] = []
    for name, text in configuration_rows(entry):
        if name or not found:
            found.append((name, [text]))
        else:
            found[-1][1].append(text)
    return found


def _reproduction(entry: Entry) -> dict[str, Any]:
    try:
        return {"reproduction": rerun_command(entry), "no_reproduction": None}
    except DmlbenchError as error:
        return {"reproduction": None, "no_reproduction": plain(str(error), 500)}
