"""The columns of a leaderboard's table, once for every way of showing it.

A column in the list below is on the terminal, in Markdown, in LaTeX and on the site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views import columns as cells

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class TableColumn:
    """A column: its title, and the text of its cell in each row of a group.

    cells: gives no cells at all where the column says nothing about a group.
    text: words, which may wrap and stand on the left; numbers stand on the right.
    left: stands on the left in documents though it is no text.
    always: stays on a terminal however narrow.
    """

    title: str
    cells: Callable[[pandas.DataFrame], Sequence[str]]
    text: bool = False
    left: bool = False
    always: bool = False


@dataclass(frozen=True)
class ShownColumn:
    """A column of one group, filled; `best`: positions of the cells that stand out."""

    title: str
    cells: Sequence[str]
    text: bool = False
    left: bool = False
    best: frozenset[int] = frozenset()
    always: bool = False


#: Before the metrics.
LEADING = [
    TableColumn("Rank", cells.rank_cells, always=True),
    TableColumn("Losses", lambda rows: list(rows["losses"]), text=True, always=True),
    TableColumn(
        "Combiner",
        lambda rows: [name or cells.NOTHING for name in rows["combiner"]],
        text=True,
        always=True,
    ),
    TableColumn("Tier", lambda rows: list(rows["tier"]), text=True, always=True),
]
#: After the metrics.
TRAILING = [
    TableColumn("Dim", cells.width_cells),
    TableColumn("Tries", cells.tries_cells),
    TableColumn("Seeds", cells.seed_cells),
    TableColumn("Train", cells.time_cells),
    TableColumn("Entry", cells.entry_cells, left=True),
]


def shown_columns(
    rows: pandas.DataFrame, by: str, metrics: Sequence[str] = (), plus_minus: str = "±"
) -> list[ShownColumn]:
    """The columns of one group: the leading ones, its metrics (`by` first), the trailing ones.

    metrics: those to show instead of the default ones.
    Raises `UsageError` for a metric that does not exist.
    """
    measured = [
        ShownColumn(
            metric_title(metric, short=True),
            cells.metric_cells(rows, metric, plus_minus),
            best=frozenset(cells.best_rows(rows, metric)),
            always=metric == by,
        )
        for metric in cells.shown_metrics(rows, by, metrics)
    ]
    return [*_filled(LEADING, rows), *measured, *_filled(TRAILING, rows)]


def _filled(columns: Sequence[TableColumn], rows: pandas.DataFrame) -> list[ShownColumn]:
    filled = [
        ShownColumn(c.title, c.cells(rows), c.text, c.text or c.left, always=c.always)
        for c in columns
    ]
    return [column for column in filled if column.cells]
