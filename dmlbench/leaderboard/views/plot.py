"""Figures: a leaderboard with its intervals, and the course of an entry's training."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.errors import UsageError
from dmlbench.evaluate.metrics import metric_spec
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.figure import COLOURS, checked_file, figure_for
from dmlbench.leaderboard.views.terminal import wrap_name
from dmlbench.leaderboard.views.training_curves import plot_entry

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["plot_entry", "plot_leaderboard"]

#: Lines of labels of a figure, and figures of a board.
MOST_LINES, MOST_FILES = 90, 20
# What the title and the axis of a group take.
_TITLE_LINES = 5
_LABEL_WIDTH = 38
_LINE_INCHES = 0.17
# Kind of row -> (legend, colour, marker).
_KINDS = {
    False: ("single loss", COLOURS[0], "o"),
    True: ("combination of losses", COLOURS[1], "D"),
}


def plot_leaderboard(
    frame: pandas.DataFrame, file: str | Path, by: str = DEFAULT_METRIC
) -> list[Path]:
    """Draw mean and 95 % interval of every row, a block of axes per group; gives the files.

    The ranking metric `by` is beside Recall@1 (or MAP@R, where `by` is Recall@1). Dots and
    not bars: the axes need not start at 0. A row without an interval has an open marker.
    What is higher than a page is drawn into several files, ``board-1.png``, ``board-2.png``, ...
    frame: of `leaderboard_frame`. file: its suffix says PNG, SVG or PDF.
    Raises `UsageError` for another suffix, a frame without completed trials, or one that would
    take more than `MOST_FILES` files.
    """
    by = cells.ranking_metric(frame, by)
    metrics = [by, "recall_at_1" if by != "recall_at_1" else DEFAULT_METRIC]
    rows = frame[frame[by].notna() & ((frame["seeds"] > 0) | (frame["failed"] == 0))]
    if rows.empty:
        raise UsageError("There is nothing to draw: no trial is completed.")
    path = checked_file(file)
    parts = _parts([group for _, group in rows.groupby("group", sort=False)])
    if len(parts) > MOST_FILES:
        raise UsageError(
            f"{len(rows)} rows take {len(parts)} figures, and at most {MOST_FILES} are drawn. "
            f"Choose rows with --top, --dataset, --loss or --combiner."
        )
    files = [path.with_stem(f"{path.stem}-{i}") for i in range(1, len(parts) + 1)]
    files = files if len(parts) > 1 else [path]
    for groups, of_part in zip(parts, files, strict=True):
        _draw(groups, of_part, metrics)
    return files


def _parts(groups: list[pandas.DataFrame]) -> list[list[tuple[str, pandas.DataFrame]]]:
    """Titled groups, or parts of them, for each figure: at most `MOST_LINES` lines of labels."""
    parts: list[list[tuple[str, pandas.DataFrame]]] = []
    room = 0.0
    for group in groups:
        title = cells.group_title(group)
        steps = [_step(_label(row)) for row in group.itertuples()]
        pieces = math.ceil(sum(steps) / MOST_LINES)
        share, start = sum(steps) / pieces, 0
        for piece in range(pieces):
            end, height = start, 0.0
            # Of a group that is split, parts of about one height.
            while end < len(steps) and (height < share or piece == pieces - 1):
                height += steps[end]
                end += 1
            if height > room:
                parts.append([])
                room = MOST_LINES
            part = f" · rows {start + 1} to {end}" if pieces > 1 else ""
            parts[-1].append((title + part, group.iloc[start:end]))
            room -= height + _TITLE_LINES
            start = end
    return parts


def _draw(groups: list[tuple[str, pandas.DataFrame]], file: Path, metrics: list[str]) -> None:
    """One figure of some groups."""
    import pandas

    rows = pandas.concat([group for _, group in groups])
    titles = [textwrap.fill(title, 100) for title, _ in groups]
    labels = [[_label(row) for row in group.itertuples()] for _, group in groups]
    heights = []
    for title, names in zip(titles, labels, strict=True):
        heights += [_LINE_INCHES * (1.4 + title.count("\n")), _LINE_INCHES * sum(map(_step, names))]
    height = sum(heights) + 0.62 * len(groups) + 0.35
    with figure_for(file, 8.2, height) as figure:
        figure.get_layout_engine().set(wspace=0.05)
        # A line of the grid for titles: they may be wider than the axes that they are over.
        grid = figure.add_gridspec(2 * len(groups), 2, height_ratios=heights)
        for i, ((_, group), title, names) in enumerate(zip(groups, titles, labels, strict=True)):
            _draw_title(figure.add_subplot(grid[2 * i, :]), title)
            left = figure.add_subplot(grid[2 * i + 1, 0])
            right = figure.add_subplot(grid[2 * i + 1, 1], sharey=left)
            _draw_group(left, group, metrics[0], names)
            _draw_group(right, group, metrics[1], names)
            right.tick_params(axis="y", labelleft=False)
        figure.legend(
            handles=_legend(rows, metrics[0]),
            loc="outside lower center",
            ncols=4,
            handletextpad=0.4,
        )


def _draw_title(axes: Axes, title: str) -> None:
    from matplotlib.transforms import blended_transform_factory

    axes.set_axis_off()
    place = blended_transform_factory(axes.figure.transFigure, axes.transAxes)
    text = axes.text(0.5, 0.0, title, transform=place, ha="center", va="bottom", fontweight="bold")
    text.set_in_layout(False)


def _draw_group(axes: Axes, rows: pandas.DataFrame, metric: str, names: list[str]) -> None:
    """One metric of one group: best row on top, rows as far apart as their labels need."""
    places, spec = _places(names), metric_spec(metric)
    for y, row in zip(places, rows.to_dict("records"), strict=True):
        mean = 100 * row[metric]
        if mean != mean:
            continue
        _, colour, marker = _KINDS[row["combiner"] is not None]
        low, high = 100 * row[f"{metric}_low"], 100 * row[f"{metric}_high"]
        known = low == low
        if known:
            # Only as far as the metric goes; the table has the whole interval.
            low, high = max(low, 100 * spec.lowest), min(high, 100.0)
            axes.errorbar(
                mean, y, xerr=[[mean - low], [high - mean]], color=colour, capsize=3, linewidth=1.4
            )
        axes.plot(
            mean, y, marker=marker, color=colour, markersize=5.5, linestyle="none",
            markerfacecolor=colour if known else "white",
        )  # fmt: skip
    axes.set_yticks(places, names)
    axes.set_ylim(places[-1] + 0.5 * _step(names[-1]), places[0] - 0.5 * _step(names[0]))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.margins(x=0.08)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(f"{spec.title} ({spec.unit})")


def _label(row: object) -> str:
    """A row's name, broken where it is long."""
    return wrap_name(row.name, _LABEL_WIDTH)


def _step(label: str) -> float:
    """Height of a row, in lines of text."""
    return 1.8 + label.count("\n")


def _places(labels: list[str]) -> list[float]:
    """Centres of the rows from top to bottom, in lines of text."""
    places, top = [], 0.0
    for label in labels:
        places.append(top + _step(label) / 2)
        top += _step(label)
    return places


def _legend(rows: pandas.DataFrame, by: str) -> list[object]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=5.5, linewidth=1.4, label=text)
        for combined, (text, colour, marker) in _KINDS.items()
        if (rows["combiner"].notna() == combined).any()
    ]
    if rows[f"{by}_low"].notna().any():
        handles.append(
            Line2D([], [], color="#555555", marker="|", markersize=7, linewidth=1.4,
                   label="95 % interval over trials")
        )  # fmt: skip
    if rows[f"{by}_low"].isna().any():
        handles.append(
            Line2D([], [], color="#555555", marker="o", markersize=5.5, linestyle="none",
                   markerfacecolor="white", label="no interval")
        )  # fmt: skip
    return handles
