"""The leaderboard on a terminal: one table per group, fitted to the width, and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.evaluate.metrics import METRICS
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.explain import POINTER, explanation
from dmlbench.leaderboard.views.notes import notes, short_notes
from dmlbench.leaderboard.views.table import shown_columns
from dmlbench.leaderboard.views.terminal import (
    Column,
    least_width,
    print_columns,
    say,
    stdout_console,
    writable,
)

if TYPE_CHECKING:
    import pandas
    from rich.console import Console

    from dmlbench.leaderboard.comparison.outcome import Verdict

__all__ = ["render_rich", "stdout_console"]

# The order in which columns are left out when the console is narrow.
_METRICS = (*(spec.heading for spec in reversed(METRICS)), "R@")
_OTHERS = ("Cost", "Trials", "Tuning", "Head params", "Entry")
_STYLES = {"better": "bold green", "worse": "bold red"}


def render_rich(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    console: Console,
    by: str = DEFAULT_METRIC,
    metrics: Sequence[str] = (),
    explain: bool = False,
) -> None:
    """Print one table per group, with the group's verdicts and at most three notes below it.

    frame: of `leaderboard_frame` with the same `by`; metrics: columns to show instead of the
    default ones; explain: print all notes, and what each column means.
    Raises `UsageError` for a metric that does not exist.
    """
    titles: dict[str, None] = {}
    by = cells.ranking_metric(frame, by)
    for group, rows in frame.groupby("group", sort=False):
        every = _columns(rows, by, metrics, console)
        titles |= dict.fromkeys(column.title for column in every)
        columns, hidden = _fit(every, console.width, bool(metrics))
        say(console, cells.group_title(rows), style="bold")
        console.print()
        print_columns(console, columns)
        console.print()
        whole, brief = cells.verdict_lines([v for v in verdicts if v.group == group])
        for verdict in whole:
            say(console, verdict.sentence, _STYLES.get(verdict.outcome, ""), bullet="> ")
        for line in brief:
            say(console, line, bullet="" if line is brief[0] else "    ")
        for note in (notes if explain else short_notes)(rows, by, hidden):
            say(console, note, style="dim", bullet="! ")
        console.print()
    for line in explanation(by, titles) if explain else [POINTER]:
        say(console, line, style="dim")


def _columns(
    rows: pandas.DataFrame, by: str, metrics: Sequence[str], console: Console
) -> list[Column]:
    shown = shown_columns(rows, by, metrics, writable("±", console))
    # Before widths are measured: a substitute may be longer.
    return [
        Column(c.title, [writable(text, console) for text in c.cells], c.best, c.text, c.always)
        for c in shown
    ]


def _fit(columns: list[Column], width: int, chosen: bool) -> tuple[list[Column], list[str]]:
    """Leave out columns of numbers, the least important first, until the rest fits the width.

    Never the ranking metric, which comes first; larger K of Recall@K go before smaller ones.
    chosen: the metrics were asked for, and go last.
    """
    kept = list(columns)
    droppable = [column for column in columns if not column.always]
    order = (*_OTHERS, *_METRICS) if chosen else (*_METRICS, *_OTHERS)
    known = ("Dim", *order)
    # A column that is not named above is the first to go.
    unnamed = [column.title for column in droppable if not column.title.startswith(known)]
    for start in (*unnamed, *known):
        for column in reversed([c for c in droppable if c.title.startswith(start)]):
            if least_width(kept) > width and column.title != "R@1":
                kept.remove(column)
    if least_width(kept) > width:
        kept = [column for column in columns if column.always]
    return kept, [column.title for column in columns if column not in kept]
