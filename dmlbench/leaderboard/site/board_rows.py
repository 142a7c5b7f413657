"""The rows of the board, each as an array of JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.views.columns import COST_KINDS
from dmlbench.leaderboard.views.table import LEADING, TRAILING, TableColumn
from dmlbench.plan.identity import BUILT_IN

if TYPE_CHECKING:
    import pandas


#: What is where in a row. "intervals" has mean, low and high of each metric in turn. Then the
#: columns of every table: of text its value, of others the text and the value to sort by. "spent"
#: has the seconds of each kind in `COST_KINDS`. "lossParts" and "combinerParts" have names apart
#: from what is in small type behind them, and are None where there is nothing behind any.
ROW = (
    "id", "hasPage", "group", "name", "lossNames", "combinerName", "lossParts", "combinerParts",
    "tuned", "paper", "code", "spent", "intervals",
    *(column.id for column in (*LEADING, *TRAILING)),
)  # fmt: skip


# Digits of a fraction that decide how it is rounded for people.
_DIGITS = 9


def filter_name(record: ComponentRecord | str) -> str:
    """The name by which rows are filtered: without parameters, or as a source publishes it."""
    if isinstance(record, str):
        return plain(record)
    name = plain(record.name)
    return name if record.distribution == BUILT_IN else f"{name} [{plain(record.distribution)}]"


def board_rows(
    group: int,
    rows: pandas.DataFrame,
    sources: Mapping[str, Entry | PublishedResult],
    metrics: Sequence[str],
    labels: Labels,
) -> list[list[Any]]:
    """The rows of the group with this number, as `ROW` lists their values."""
    columns = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    numbers = rows[columns].to_numpy(dtype=float)
    listed = zip(*(_values(rows, column) for column in (*LEADING, *TRAILING)), strict=True)
    found = []
    seconds = rows[list(COST_KINDS.values())].to_numpy(dtype=float)
    for row, values, spent, columns in zip(
        rows.to_dict("records"), numbers, seconds, listed, strict=True
    ):
        source = sources[row["key"]]
        found.append([
            row["key"],
            row["source"] is None,
            group,
            row["name"],
            sorted({filter_name(loss) for loss in source.losses}),
            filter_name(source.combiner) if source.combiner else None,
            _loss_parts(source, labels),
            _combiner_parts(source, labels),
            bool(row["tuning_trials"]),
            row["paper"],
            row["code"],
            [_number(value) for value in spent],
            [_number(value) for value in values],
            *columns,
        ])  # fmt: skip
    return found


def _loss_parts(source: Entry | PublishedResult, labels: Labels) -> list[tuple[str, str]] | None:
    """Name and small type of each loss, equal neighbours as one: ``("2*ms", "(alpha=2)")``."""
    if isinstance(source, PublishedResult):
        return None
    parts = []
    for (name, rest), equal in groupby(labels.parts(loss, source) for loss in source.losses):
        copies = len(list(equal))
        parts.append((name if copies == 1 else f"{copies}*{name}", rest))
    submission = labels.submission(source)
    if not submission and not any(rest for _, rest in parts):
        return None
    return [*parts[:-1], (parts[-1][0], parts[-1][1] + submission)]


def _combiner_parts(source: Entry | PublishedResult, labels: Labels) -> tuple[str, str] | None:
    if isinstance(source, PublishedResult) or source.combiner is None:
        return None
    name, rest = labels.parts(source.combiner, source)
    return (name, rest) if rest else None


def _values(rows: pandas.DataFrame, column: TableColumn) -> list[Any]:
    """What a row's array has of a column."""
    found = rows[column.field].astype(object)
    values = list(found.where(found.notna(), None))
    if column.id == "tier":
        return list(column.cells(rows))  # with what was fresh; the page filters by the first word
    if column.text:
        return values
    texts = column.cells(rows) or [""] * len(rows)
    if column.order is not None:
        values = _places(column.order(rows))
    return [[text.strip(), _sorted_by(value)] for text, value in zip(texts, values, strict=True)]


def _places(order: Sequence[Any]) -> list[int | None]:
    """The place of each row among the different values of an order; None where it has none."""
    places = {value: i for i, value in enumerate(sorted({v for v in order if v is not None}))}
    return [places.get(value) for value in order]


def _sorted_by(value: Any) -> Any:
    if isinstance(value, list):
        return max((one for one in value if one is not None), default=None)
    return value if isinstance(value, str) else _number(value)


def _number(value: Any) -> int | float | None:
    """A number as JSON has it; None for a missing one."""
    number = float("nan") if value is None or value != value else float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else round(number, _DIGITS)
