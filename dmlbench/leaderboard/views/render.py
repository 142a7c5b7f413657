"""The leaderboard on a terminal: one table per group, fitted to the width, and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.evaluate.metrics import METRICS
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.explain import POINTER, explanation
from dmlbench.leaderboard.views.notes import notes, short_notes
from dmlbench.leaderboard.views.table import Keep, ShownColumn, shown_table
from dmlbench.leaderboard.views.terminal import (
    Column,
    comfortable_width,
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
_OTHERS = ("Cost", "Trials", "Tuning", "Head params", "Tier")
# On terminals where nothing else fits.
_LAST = ("R@1", "Entry")
_STYLES = {"better": "bold green", "worse": "bold red"}


def render_rich(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    console: Console,
    by: str = DEFAULT_METRIC,
    metrics: Sequence[str] = (),
    explain: bool = False,
    keep: Keep | None = None,
) -> None:
    """Print one table per group, with the group's verdicts and at most three notes below it.

    frame: of `leaderboard_frame` with the same `by`; metrics: columns to show instead of the
    default ones; explain: print all notes, and what each column means. keep: gives the rows of a
    group that are shown; without it all are.
    Raises `UsageError` for a metric that does not exist.
    """
    titles: dict[str, None] = {}
    by = cells.ranking_metric(frame, by)
    for group, rows in frame.groupby("group", sort=False):
        table = shown_table(rows, by, metrics, writable("±", console), keep)
        if not table.num_shown:
            continue
        every = _columns(table.columns, console)
        titles |= dict.fromkeys([*(column.title for column in every), *table.left_out])
        columns, hidden = _fit(every, console.width, bool(metrics))
        say(console, cells.group_title(rows), style="bold")
        if table.common:
            say(console, table.common)
        console.print()
        print_columns(console, columns)
        console.print()
        found = [v for v in verdicts if v.group == group]
        if table.num_shown < table.num_rows:
            there = set(keep(rows)["key"]) if keep else set()
            found = [verdict for verdict in found if verdict.key in there]
        whole, brief = cells.verdict_lines(found)
        for verdict in whole:
            say(console, verdict.sentence, _STYLES.get(verdict.outcome, ""), bullet="> ")
        for line in brief:
            say(console, line, bullet="" if line is brief[0] else "    ")
        for note in [*table.notes, *(notes if explain else short_notes)(rows, by, hidden)]:
            say(console, note, style="dim", bullet="! ")
        console.print()
    for line in explanation(by, titles) if explain else [POINTER]:
        say(console, line, style="dim")


def _columns(shown: Sequence[ShownColumn], console: Console) -> list[Column]:
    # Before widths are measured: a substitute may be longer.
    return [
        Column(c.title, [writable(text, console) for text in c.cells], c.best, c.text, c.always)
        for c in shown
    ]


def _fit(columns: list[Column], width: int, chosen: bool) -> tuple[list[Column], list[str]]:
    """Leave out columns of numbers, the least important first, until the rest fits the width.

    Never the ranking metric, Recall@1 or the entry's id; larger K of Recall@K go before smaller
    ones.
    chosen: the metrics were asked for, and go last.
    """
    kept = list(columns)
    droppable = [column for column in columns if not column.always]
    order = (*_OTHERS, *_METRICS) if chosen else (*_METRICS, *_OTHERS)
    known = ("Dim", *order)
    # A column that is not named above is the first to go.
    unnamed = [column.title for column in droppable if not column.title.startswith(known)]
    for start in (*unnamed, *known):
        # Names wrap rather than that a row loses what says how it was made.
        needs = least_width if chosen or start in _OTHERS else comfortable_width
        for column in reversed([c for c in droppable if c.title.startswith(start)]):
            if needs(kept) > width:
                kept.remove(column)
    for title in _LAST:
        if least_width(kept) > width:
            # The ranking metric is the first of all, and is never left out.
            first = next(c for c in kept if not c.text and c.title != "Rank")
            kept = [c for c in kept if c is first or c.title != title]
    return kept, [column.title for column in columns if column not in kept]
