"""A figure of comparisons: differences with their intervals, against the line of none."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.comparison import Comparison
from dmlbench.leaderboard.comparison.sentence import units_text
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views.figure import COLOURS, checked_file, figure_for


def plot_comparisons(comparisons: Sequence[Comparison], file: str | Path) -> None:
    """Draw the differences of one entry to others, in points, a panel each.

    In a panel: every trial as a dot with its interval, and the intervals over queries and
    over test classes where there are any. file: its suffix says PNG, SVG or PDF.
    Raises `UsageError` for another suffix, or if nothing can be drawn.
    """
    checked_file(file)
    drawn = [comparison for comparison in comparisons if comparison.seeds.mean is not None]
    if not drawn:
        raise UsageError("There is nothing to draw: the entries have no trial in common.")
    heights = [0.4 + 0.34 * len(_lines(comparison)) for comparison in drawn]
    with figure_for(file, 7.2, 0.55 + sum(heights) + 0.3 * len(drawn)) as figure:
        grid = figure.subplots(
            len(drawn), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axes, comparison in zip(grid[:, 0], drawn, strict=True):
            lines = _lines(comparison)
            for y, (_, mean, low, high, dots) in enumerate(lines):
                colour = COLOURS[y]
                axes.plot([100 * v for v in dots], [y] * len(dots), "|", color=colour, alpha=0.6)
                if low is not None:
                    error = [[100 * (mean - low)], [100 * (high - mean)]]
                    axes.errorbar(100 * mean, y, xerr=error, color=colour, capsize=3)
                axes.plot(100 * mean, y, "o", color=colour, markersize=5.5)
            axes.axvline(0, color="#555555", linewidth=0.9)
            axes.set_yticks(range(len(lines)), [name for name, *_ in lines])
            axes.set_ylim(len(lines) - 0.5, -0.5)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="x")
            title = f"{comparison.first} − {comparison.other}"
            axes.set_title(textwrap.fill(title, 90), loc="left")
        title = metric_title(drawn[0].metric)
        grid[-1, 0].set_xlabel(f"difference of {title} in points, 95 % intervals")


def _lines(comparison: Comparison) -> list[tuple[str, float, float | None, float | None, list]]:
    seeds = comparison.seeds
    dots = [value for _, _, value in comparison.values]
    lines = [(f"{units_text(seeds)} (t)", seeds.mean, seeds.low, seeds.high, dots)]
    for name, found in (
        (f"{comparison.num_queries} queries", comparison.queries),
        ("test classes and splits" if seeds.num_splits > 1 else "test classes", comparison.classes),
    ):
        if found is not None:
            lines.append((f"{name} (bootstrap)", found.mean, found.low, found.high, []))
    return lines
