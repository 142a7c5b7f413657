"""The figures of a study's report: differences, what leads are made of, budgets, and orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views.figure import COLOURS, checked_file, figure_for
from dmlbench.statistics.intervals import Interval
from dmlbench.study.analysis import Answered, Decomposed, Findings
from dmlbench.study.boards import Found
from dmlbench.study.design import Study
from dmlbench.study.order import SHARES, orders, training_course, tuning_budgets, tuning_course

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PRIMARY, _OTHER, _NEUTRAL = COLOURS[0], "#777777", "#333333"


def plot_findings(
    study: Study, found: Found, findings: Findings, folder: Path, suffix: str = ".png"
) -> list[Path]:
    """Draw what there is to draw, and say which files were written.

    ``differences``: every contrast with its interval, beside the smallest difference that matters.
    ``decomposition``: what each step adds, for each decomposition.
    ``budgets``: validation MAP@R of the rows of primary contrasts against the share of the training
    and of the tuning. ``orders``: Kendall's tau between orders of losses.
    Raises `UsageError` as `dmlbench.leaderboard.views.figure.figure_for`, and where nothing can be
    drawn.
    """
    draw: dict[str, Callable[[Path], bool]] = {
        "differences": lambda file: _differences(study, findings, file),
        "decomposition": lambda file: _decompositions(study, findings, file),
        "budgets": lambda file: _budgets(study, found, file),
        "orders": lambda file: _orders(study, found, file),
    }
    files = {name: checked_file(folder / f"{name}{suffix}") for name in draw}
    written = [file for name, file in files.items() if draw[name](file)]
    if not written:
        raise UsageError("There is nothing to draw: no contrast has trials yet.")
    return written


def _differences(study: Study, findings: Findings, file: Path) -> bool:
    shown = [
        one for one in findings.answers if one.contrast is not None and one.contrast.low is not None
    ]
    if not shown:
        return False
    with figure_for(file, 7.2, 1.1 + 0.36 * len(shown)) as figure:
        axes = figure.add_subplot()
        axes.axvspan(-study.smallest, study.smallest, color="#EFEFEF", zorder=0)
        axes.axvline(0, color=_NEUTRAL, linewidth=0.8)
        for y, one in enumerate(shown):
            interval = Interval(one.contrast.mean, one.contrast.low, one.contrast.high)
            _point(axes, y, interval, _PRIMARY if one.primary else _OTHER)
        axes.set_yticks(range(len(shown)), [_contrast_label(one) for one in shown])
        answers = axes.twinx()
        for side in (axes, answers):
            side.set_ylim(len(shown) - 0.5, -0.5)
            side.tick_params(axis="y", length=0)
        answers.set_yticks(range(len(shown)), [one.answer for one in shown])
        axes.grid(axis="x")
        axes.set_xlabel(
            f"Difference in points of {metric_title(study.metric)}, with its 95 % interval\n"
            f"(blue: primary; grey band: too small to matter; right: the answer, corrected)"
        )
    return True


def _contrast_label(one: Answered) -> str:
    return f"{one.name} ({one.dataset})"


def _decompositions(study: Study, findings: Findings, file: Path) -> bool:
    shown = [one for one in findings.decompositions if one.whole is not None]
    if not shown:
        return False
    heights = [len(one.steps or []) + 1 for one in shown]
    with figure_for(file, 7.2, 0.7 + sum(0.75 + 0.34 * height for height in heights)) as figure:
        blocks = figure.subplots(
            len(shown), 1, squeeze=False, sharex=True, height_ratios=[h + 1 for h in heights]
        )
        for axes, one in zip(blocks[:, 0], shown, strict=True):
            _draw_decomposition(axes, study, one)
        blocks[-1, 0].set_xlabel(
            f"Points of {metric_title(study.metric)} that each step adds to those above, "
            f"with its 95 % interval"
        )
    return True


def _draw_decomposition(axes: Axes, study: Study, one: Decomposed) -> None:
    """Every step starts at zero, where its interval can be read; they add up to the whole."""
    levels = study.decompositions[one.name].levels
    assert one.whole is not None, "only whole decompositions are drawn"
    for y, step in enumerate([*(one.steps or []), one.whole]):
        colour = _NEUTRAL if step is one.whole else COLOURS[2 if step.mean >= 0 else 1]
        axes.barh(y, 100 * step.mean, height=0.55, color=colour, alpha=0.35)
        _point(axes, y, step, colour)
    labels = [f"+ {level.what}" for level in levels[1:]]
    axes.set_yticks(range(len(labels) + 1), [*labels, "sum of all"])
    axes.set_ylim(len(labels) + 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color=_NEUTRAL, linewidth=0.8)
    axes.grid(axis="x")
    axes.set_title(f"{one.dataset}, over {levels[0].what}; {one.units} units", loc="left")


def _point(axes: Axes, y: float, interval: Interval, colour: str) -> None:
    mean = 100 * interval.mean
    if interval.low is not None and interval.high is not None:
        ends = [[mean - 100 * interval.low], [100 * interval.high - mean]]
        axes.errorbar(mean, y, xerr=ends, color=colour, capsize=3, linewidth=1.4)
    axes.plot(mean, y, marker="o", color=colour, markersize=5, linestyle="none")


def _budgets(study: Study, found: Found, file: Path) -> bool:
    """A line of panels for each dataset on which a primary contrast is asked."""
    primary = [contrast for contrast in study.contrasts.values() if contrast.primary]
    datasets = list(dict.fromkeys(d for contrast in primary for d in study.places_of(contrast)))
    rows = list(dict.fromkeys(row for contrast in primary for row in contrast.rows))
    budgets = tuning_budgets(study.budget)
    courses = {}
    for dataset in datasets:
        entries = found.entries.get(dataset, {})
        training = _courses(rows, entries, training_course)
        tuning = _courses(rows, entries, lambda of_row: tuning_course(of_row, budgets))
        if training or tuning:
            courses[dataset] = (training, tuning)
    if not courses:
        return False
    with figure_for(file, 7.2, 0.9 + 2.6 * len(courses)) as figure:
        panels = figure.subplots(len(courses), 2, squeeze=False)
        for (left, right), (dataset, (training, tuning)) in zip(
            panels, courses.items(), strict=True
        ):
            _draw_courses(left, [100 * share for share in SHARES], training, rows)
            left.set_xlabel("Share of the epochs (%)")
            left.set_ylabel("Validation MAP@R (%)")
            left.set_title(dataset, loc="left")
            _draw_courses(right, budgets, tuning, rows)
            right.set_xscale("log", base=2)
            right.set_xticks(budgets, [str(budget) for budget in budgets])
            right.set_xlabel("Tuning trials")
        handles = {line.get_label(): line for axes in panels.flat for line in axes.get_lines()}
        figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=4)
    return True


def _courses(
    rows: Sequence[str],
    entries: dict[str, Sequence[Entry]],
    course: Callable[[Sequence[Entry]], list[float] | None],
) -> dict[str, list[float]]:
    found = {row: course(entries[row]) for row in rows if row in entries}
    return {row: values for row, values in found.items() if values is not None}


def _draw_courses(
    axes: Axes, places: Sequence[float], courses: dict[str, list[float]], rows: Sequence[str]
) -> None:
    """Each row has its own colour and marker, whichever rows are there."""
    for row, course in courses.items():
        index = rows.index(row)
        axes.plot(
            places, [100 * value for value in course], label=row, linewidth=1.3,
            marker="osD^vP*X"[index % 8], markersize=4, color=COLOURS[index % len(COLOURS)],
        )  # fmt: skip
    axes.grid(axis="y")
    if not courses:
        axes.text(0.5, 0.5, "no record", transform=axes.transAxes, ha="center")
        axes.set_yticks([])


def _orders(study: Study, found: Found, file: Path) -> bool:
    shown = [
        one
        for one in orders(study.correlations, found.values, found.entries)
        if one.tau is not None
    ]
    if not shown:
        return False
    with figure_for(file, 7.2, 0.9 + 0.34 * len(shown)) as figure:
        axes = figure.add_subplot()
        for y, one in enumerate(shown):
            axes.plot([0, one.tau], [y, y], color=_PRIMARY, linewidth=1.2)
            axes.plot(one.tau, y, marker="o", color=_PRIMARY, markersize=5)
        axes.axvline(0, color=_NEUTRAL, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [f"{one.what} ({one.rows} rows)" for one in shown])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(-1.05, 1.05)
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.grid(axis="x")
        axes.set_xlabel("Kendall's τ between the orders of losses: 1 for the same, 0 for chance")
    return True
