"""The course of an entry's training: objective, validation, each loss, and the learned weights."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels, loss_names
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import EpochRecord, Trial
from dmlbench.leaderboard.views.figure import COLOURS, checked_file, figure_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NEUTRAL = "#333333"
_DASHES = ("-", "--", "-.", ":")
Value = Callable[[EpochRecord], float | None]


@dataclass(frozen=True)
class Line:
    """One quantity over the epochs."""

    value: Value
    colour: str
    name: str = ""


@dataclass(frozen=True)
class Panel:
    title: str
    unit: str
    lines: tuple[Line, ...]
    marks_best: bool = False


def plot_entry(entry: Entry, file: str | Path) -> None:
    """Draw training curves, per quantity: every trial (thin), the mean of completed ones (thick).

    Panels: the objective; validation MAP@R with the tested epoch of each trial marked; for a
    combination each loss on its own scale, and the weights of the losses.
    file: its suffix says PNG, SVG or PDF.
    Raises `UsageError` for another suffix, or an entry without a training history.
    """
    checked_file(file)
    trials = [trial for trial in entry.trials if trial.history]
    if not trials:
        raise UsageError(f"Entry {entry.entry_id} ({plain(entry.label)}) has no training history.")
    panels = entry_panels(entry)
    # The number of columns up to four that leaves the fewest places empty.
    columns = min(range(min(len(panels), 2), 5), key=lambda c: (-len(panels) % c, -c))
    lines = math.ceil(len(panels) / columns)
    with figure_for(file, 0.4 + 2.8 * columns, 0.85 + 2.25 * lines) as figure:
        figure.suptitle(_title(entry, trials, 34 * columns), fontsize=9.5, fontweight="bold")
        figure.get_layout_engine().set(wspace=0.03, hspace=0.04)
        grid = list(figure.subplots(lines, columns, squeeze=False).flat)
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel, trials)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        figure.legend(handles=_legend(trials), loc="outside lower center", ncols=3)


def entry_panels(entry: Entry) -> list[Panel]:
    """What is drawn of an entry, whatever draws it."""
    single = entry.combiner is None
    panels = [
        Panel(
            "Training loss" if single else "Training objective",
            "mean of the epoch",
            (Line(lambda record: record.objective, _NEUTRAL),),
        ),
        Panel(
            "Held-out classes",
            "validation MAP@R (%)",
            (Line(lambda r: _percent(r.validation_map_at_r), _NEUTRAL),),
            marks_best=True,
        ),
    ]
    if single:
        return panels
    names = [textwrap.shorten(name, 34) for name in loss_names(entry)]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    if any(record.weights for trial in entry.trials for record in trial.history):
        weights = [
            Line(_weight(i), colour, name)
            for i, (colour, name) in enumerate(zip(colours, names, strict=True))
        ]
        panels.append(Panel("Weights of the losses", "weight", tuple(weights)))
    for i, (colour, name) in enumerate(zip(colours, names, strict=True)):
        panels.append(Panel(name, "mean of the epoch", (Line(_loss(i), colour),)))
    return panels


def _draw(axes: Axes, panel: Panel, trials: Sequence[Trial]) -> None:
    completed = [trial for trial in trials if trial.status == "completed"]
    for i, line in enumerate(panel.lines):
        for trial in trials:
            epochs, values = course(trial, line.value)
            style = "-" if trial.status == "completed" else ":"
            axes.plot(epochs, values, style, color=line.colour, linewidth=0.8, alpha=0.5)
            best = dict(zip(epochs, values, strict=True)).get(trial.best_epoch)
            if panel.marks_best and best is not None and trial in completed:
                axes.plot(
                    trial.best_epoch, best, "*", color=COLOURS[1], markersize=9, zorder=4,
                    markeredgecolor="white", markeredgewidth=0.6,
                )  # fmt: skip
        epochs, values = mean_course(completed, line.value)
        # Dashes let a line show that runs under another, as equal weights do.
        dashes = _DASHES[i % len(_DASHES)]
        axes.plot(epochs, values, dashes, color=line.colour, linewidth=2.0, label=line.name or None)
    axes.set_title(panel.title)
    axes.set_xlabel("epoch")
    axes.set_ylabel(panel.unit)
    axes.grid()
    axes.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    if any(line.name for line in panel.lines):
        # From 0, and with room above the curves, so the names cover none of them.
        low, high = axes.get_ylim()
        low = min(low, 0.0)
        axes.set_ylim(low, high + (0.14 + 0.09 * len(panel.lines)) * (high - low))
        axes.legend(loc="upper left", fontsize=7.5, handlelength=1.4, labelspacing=0.25)


def course(trial: Trial, value: Value) -> tuple[list[int], list[float]]:
    """Epochs and values of one trial, without the epochs that did not measure it."""
    pairs = [(record.epoch, value(record)) for record in trial.history]
    kept = [(epoch, number) for epoch, number in pairs if number is not None]
    return [epoch for epoch, _ in kept], [number for _, number in kept]


def mean_course(trials: Sequence[Trial], value: Value) -> tuple[list[int], list[float]]:
    """The mean over trials at the epochs that every one of them has."""
    courses = [dict(zip(*course(trial, value), strict=True)) for trial in trials]
    if not courses:
        return [], []
    shared = sorted(set.intersection(*(set(course) for course in courses)))
    return shared, [sum(course[epoch] for course in courses) / len(courses) for epoch in shared]


def _weight(index: int) -> Value:
    return lambda r: r.weights[index] if r.weights and index < len(r.weights) else None


def _loss(index: int) -> Value:
    return lambda r: r.losses[index] if index < len(r.losses) else None


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _title(entry: Entry, trials: Sequence[Trial], width: int) -> str:
    count = f"{len(trials)} trial{'s' if len(trials) > 1 else ''}"
    name = plain(
        f"{Labels([entry]).row(entry)} on {entry.dataset.name}, {entry.backbone.name}, {count}"
    )
    return textwrap.fill(f"{name} (entry {entry.entry_id[:8]})", width)


def _legend(trials: Sequence[Trial]) -> list[object]:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_NEUTRAL, linewidth=2.0, label="mean over completed trials")]
    if len(trials) > 1:
        handles.append(Line2D([], [], color=_NEUTRAL, linewidth=0.8, alpha=0.6, label="one trial"))
    else:
        handles[0].set_label("the only trial")
    if any(trial.status == "failed" for trial in trials):
        handles.append(
            Line2D([], [], color=_NEUTRAL, linewidth=0.8, linestyle=":", label="failed trial")
        )
    handles.append(
        Line2D([], [], color=COLOURS[1], marker="*", markersize=9, linestyle="none",
               markeredgecolor="white", label="epoch that is tested")
    )  # fmt: skip
    return handles
