"""The columns of a leaderboard's table, once for every way of showing it.

A column in the list below is on the terminal, in Markdown, in LaTeX and on the site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views import columns as cells

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class TableColumn:
    """A column: its name and title, and the text of its cell in each row of a group.

    cells: gives no cells at all where the column says nothing about a group.
    field: the column of the frame that the page for the browser sorts by; order: what it sorts by
        instead, of each row; None for a row that comes last.
    text: words, which may wrap and are on the left; numbers are on the right.
    left: is on the left in documents though it is no text.
    always: stays on a terminal however narrow.
    ascending: the first click on the page sorts from the lowest.
    screen: on the page "narrow" is hidden on phones, "wide" is for wide screens alone, and "rest"
        is shown with all metrics.
    """

    id: str
    title: str
    cells: Callable[[pandas.DataFrame], Sequence[str]]
    field: str
    text: bool = False
    left: bool = False
    always: bool = False
    ascending: bool = False
    screen: Literal["narrow", "wide", "rest"] | None = None
    order: Callable[[pandas.DataFrame], Sequence[Any]] | None = None


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
    TableColumn("rank", "Rank", cells.rank_cells, "position", always=True, ascending=True),
    TableColumn(
        "losses", "Losses", lambda rows: list(rows["losses"]), "losses", text=True, always=True
    ),
    TableColumn(
        "combiner",
        "Combiner",
        lambda rows: [name or cells.NOTHING for name in rows["combiner"]],
        "combiner",
        text=True,
        always=True,
        screen="narrow",
    ),
    TableColumn(
        "tier",
        "Tier",
        cells.tier_cells,
        "tier",
        text=True,
        always=True,
        screen="narrow",
    ),
]
#: After the metrics.
TRAILING = [
    TableColumn("dim", "Dim", cells.width_cells, "embedding_dim", ascending=True, screen="rest"),
    TableColumn("tuning", "Tuning", cells.tuning_cells, "tuning_trials", screen="rest"),
    TableColumn("loss-rates", "Loss lr", cells.loss_rate_cells, "loss_rates", screen="rest"),
    TableColumn(
        "head-parameters",
        "Head params",
        cells.head_parameter_cells,
        "head_parameters",
        ascending=True,
        screen="rest",
    ),
    TableColumn("trials", "Trials", cells.trial_cells, "seeds", screen="wide"),
    TableColumn(
        "cost",
        "Cost",
        cells.cost_cells,
        "process_seconds",
        ascending=True,
        screen="wide",
        order=cells.cost_order,
    ),
    TableColumn("entry", "Entry", cells.entry_cells, "short", left=True, screen="rest"),
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
