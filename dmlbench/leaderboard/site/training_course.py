"""The course of an entry's training as data for charts, and the same in words and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.views.training_curves import (
    Line,
    Panel,
    course,
    entry_panels,
    mean_course,
)

# Digits that a chart can show.
_DIGITS = 5


def charts(entry: Entry) -> list[dict[str, Any]]:
    """One chart per quantity, as `views.training_curves` draws them; empty without a history.

    Each: ``title``, ``unit``, ``text`` (what a reader without eyes is told), ``lines`` with a
    ``name``, the points ``[epoch, value]`` of each trial and of the mean over completed trials, and
    ``best``, the points of the tested epochs.
    """
    trials = [trial for trial in entry.trials if trial.history]
    completed = [trial for trial in trials if trial.status == "completed"]
    return [_chart(panel, trials, completed) for panel in entry_panels(entry)] if trials else []


def epoch_table(entry: Entry) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of a table: the mean over completed trials of every quantity, by epoch."""
    completed = [trial for trial in entry.completed if trial.history]
    columns: list[tuple[str, dict[int, float]]] = []
    for panel in entry_panels(entry) if completed else []:
        for line in panel.lines:
            values = dict(zip(*mean_course(completed, line.value), strict=True))
            if values:
                title = f"{panel.title}: {line.name}" if line.name else panel.title
                columns.append((title, values))
    epochs = sorted({epoch for _, values in columns for epoch in values})
    rows = [
        [str(epoch), *(f"{v[epoch]:.4g}" if epoch in v else "" for _, v in columns)]
        for epoch in epochs
    ]
    return ["Epoch", *(title for title, _ in columns)], rows


def _chart(panel: Panel, trials: Sequence[Trial], completed: Sequence[Trial]) -> dict[str, Any]:
    return {
        "title": panel.title,
        "unit": panel.unit,
        "text": _words(panel, completed),
        "lines": [_line(line, trials, completed) for line in panel.lines],
        "best": _tested(panel, completed),
    }


def _line(line: Line, trials: Sequence[Trial], completed: Sequence[Trial]) -> dict[str, Any]:
    return {
        "name": line.name,
        "trials": [
            {
                "failed": trial.status == "failed",
                "points": _points(*course(trial, line.value)),
            }
            for trial in trials
        ],
        "mean": _points(*mean_course(completed, line.value)),
    }


def _tested(panel: Panel, completed: Sequence[Trial]) -> list[list[float]]:
    """The value at the epoch that each completed trial was tested at."""
    if not panel.marks_best:
        return []
    found = []
    for trial in completed:
        values = dict(zip(*course(trial, panel.lines[0].value), strict=True))
        if trial.best_epoch in values:
            found += _points([trial.best_epoch], [values[trial.best_epoch]])
    return found


def _words(panel: Panel, completed: Sequence[Trial]) -> str:
    """``Weights of the losses over epochs 1 to 20, mean of 3 trials: triplet from 0.5 to 0.61``."""
    parts, seen = [], []
    for line in panel.lines:
        epochs, values = mean_course(completed, line.value)
        if values:
            seen += epochs
            name = f"{line.name} " if line.name else ""
            parts.append(f"{name}from {values[0]:.3g} to {values[-1]:.3g}")
    if not parts:
        return f"{panel.title}: no completed trial has a course."
    trials = f"mean of {len(completed)} trials" if len(completed) > 1 else "one trial"
    return (
        f"{panel.title} ({panel.unit}) over epochs {min(seen)} to {max(seen)}, {trials}: "
        f"{'; '.join(parts)}."
    )


def _points(epochs: Sequence[int], values: Sequence[float]) -> list[list[float]]:
    return [[e, float(f"{v:.{_DIGITS}g}")] for e, v in zip(epochs, values, strict=True)]
