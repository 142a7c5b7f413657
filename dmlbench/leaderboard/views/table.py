"""The columns of a leaderboard's table, once for every way of showing it.

A column in the list below is on the terminal, in Markdown, in LaTeX and on the site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views import columns as cells

if TYPE_CHECKING:
    import pandas

#: From the rows of a group, those to show.
Keep = Callable[["pandas.DataFrame"], "pandas.DataFrame"]


@dataclass(frozen=True)
class TableColumn:
    """A column: its name and title, and the text of its cell in each row of a group.

    cells: gives no cells at all where the column says nothing about a group.
    field: the column of the frame that the page for the browser sorts by; order: what it sorts by
        instead, of each row; None for a row that comes last.
    text: words, which may wrap and are on the left; numbers are on the right.
    left: is on the left in documents though it is no text.
    always: stays on a terminal however narrow.
    constant: where all rows of a table have the same cell, what is said above it instead: nothing
        where the title says it anyway, None for a column that stays.
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
    constant: Callable[[str], str | None] = lambda cell: None
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
    constant: Callable[[str], str | None] = lambda cell: None

    def only(self, positions: Sequence[int]) -> ShownColumn:
        """The column with the cells alone at some positions."""
        return replace(
            self,
            cells=[self.cells[i] for i in positions],
            best=frozenset(new for new, old in enumerate(positions) if old in self.best),
        )


@dataclass(frozen=True)
class ShownTable:
    """The table of one group: its columns, and a sentence on what all its rows have in common.

    left_out: titles of columns that `common` says instead. num_rows: of the group, of which fewer
    may be shown.
    """

    columns: list[ShownColumn]
    common: str
    left_out: list[str]
    num_shown: int
    num_rows: int

    @property
    def notes(self) -> list[str]:
        """What a reader must know of rows that are not shown."""
        if self.num_shown == self.num_rows:
            return []
        return [
            f"{self.num_shown} of {self.num_rows} rows are shown; ranks and sentences are about all"
        ]


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
        constant=lambda cell: "single losses" if cell == cells.NOTHING else f"combiner {cell}",
        screen="narrow",
    ),
    TableColumn(
        "tier",
        "Tier",
        cells.tier_cells,
        "tier",
        text=True,
        constant="tier {}".format,
        screen="narrow",
    ),
]
#: After the metrics.
TRAILING = [
    TableColumn(
        "dim",
        "Dim",
        cells.width_cells,
        "embedding_dim",
        constant=lambda cell: "" if cell.isdigit() else f"dimension {cell}",
        ascending=True,
        screen="rest",
    ),
    TableColumn(
        "tuning",
        "Tuning",
        cells.tuning_cells,
        "tuning_trials",
        constant="tuning: {}".format,
        screen="rest",
    ),
    TableColumn(
        "loss-rates",
        "Loss lr",
        cells.loss_rate_cells,
        "loss_rates",
        constant="loss lr {}".format,
        screen="rest",
    ),
    TableColumn(
        "head-parameters",
        "Head params",
        cells.head_parameter_cells,
        "head_parameters",
        constant="{} head params".format,
        ascending=True,
        screen="rest",
    ),
    TableColumn(
        "trials",
        "Trials",
        cells.trial_cells,
        "seeds",
        constant=lambda cell: None if "/" in cell else "",
        screen="wide",
    ),
    TableColumn(
        "cost",
        "Cost",
        cells.cost_cells,
        "process_seconds",
        ascending=True,
        screen="wide",
        order=cells.cost_order,
    ),
    TableColumn(
        "entry", "Entry", cells.entry_cells, "short", left=True, always=True, screen="rest"
    ),
]


def shown_table(
    rows: pandas.DataFrame,
    by: str,
    metrics: Sequence[str] = (),
    plus_minus: str = "±",
    keep: Keep | None = None,
) -> ShownTable:
    """The table of a group, without the columns whose cells are all alike.

    keep: gives the rows to show; cells are those that they have among all rows of the group.
    Other arguments, and errors, are those of `shown_columns`.
    """
    kept = rows if keep is None else keep(rows)
    places = {index: i for i, index in enumerate(rows.index)}
    positions = [places[index] for index in kept.index]
    columns, common, left_out = [], [], []
    for column in shown_columns(rows, by, metrics, plus_minus):
        column = column.only(positions)
        # A combiner names its row, where that is the only one.
        alike = len(set(column.cells)) == 1 and (len(positions) > 1 or column.title != "Combiner")
        cell = column.cells[0].strip() if positions else ""
        said = column.constant(cell) if alike else None
        if said is None:
            columns.append(column)
            continue
        left_out.append(column.title)
        common += [said] * (said != "")
    which = "All rows: " if len(kept) == len(rows) else "All rows shown: "
    sentence = which * (len(positions) > 1) + ", ".join(common) + "."
    return ShownTable(columns, sentence if common else "", left_out, len(kept), len(rows))


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
            always=metric in (by, "recall_at_1"),
        )
        for metric in cells.shown_metrics(rows, by, metrics)
    ]
    return [*_filled(LEADING, rows), *measured, *_filled(TRAILING, rows)]


def _filled(columns: Sequence[TableColumn], rows: pandas.DataFrame) -> list[ShownColumn]:
    filled = [
        ShownColumn(
            c.title, c.cells(rows), c.text, c.text or c.left, always=c.always, constant=c.constant
        )
        for c in columns
    ]
    return [column for column in filled if column.cells]
