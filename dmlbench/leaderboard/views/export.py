"""The leaderboard as Markdown, CSV and JSON. Names from entries stay text in each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.entries.sanitize import visible
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.explain import POINTER, explanation
from dmlbench.leaderboard.views.notes import notes
from dmlbench.leaderboard.views.table import Keep, ShownColumn, shown_table

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&$!@])")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def render_markdown(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    by: str = DEFAULT_METRIC,
    metrics: Sequence[str] = (),
    explain: bool = False,
    keep: Keep | None = None,
) -> str:
    """One Markdown table per group, with the group's verdicts and notes as a list below it.

    explain: say at the end what each column means. keep: gives the rows of a group to show.

    Raises `UsageError` for a metric that does not exist.
    """
    by = cells.ranking_metric(frame, by)
    parts = []
    for group, rows in frame.groupby("group", sort=False):
        table = shown_table(rows, by, metrics, keep=keep)
        if not table.num_shown:
            continue
        lines = [f"### {markdown(cells.group_title(rows))}", ""]
        if table.common:
            lines += [markdown(table.common), ""]
        lines += _markdown_table(table.columns)
        there = set((rows if keep is None else keep(rows))["key"])
        found = [v for v in verdicts if v.group == group and v.key in there]
        whole, brief = cells.verdict_lines(found)
        said = [*(verdict.sentence for verdict in whole), *table.notes, *notes(rows, by)]
        if said:
            lines += ["", *(f"- {markdown(text)}" for text in said)]
        if brief:
            lines += ["", markdown(brief[0]), "", *(f"- {markdown(line)}" for line in brief[1:])]
        parts.append("\n".join(lines) + "\n")
    if explain:
        parts.append("\n".join(f"- {markdown(line)}" for line in explanation(by)) + "\n")
    else:
        parts.append(markdown(POINTER) + "\n")
    return "\n".join(parts)


def render_csv(frame: pandas.DataFrame) -> str:
    """Every column of the frame as CSV, metrics as fractions.

    Lists are joined by "; ", and tables are JSON. What is missing in a list is an empty text in its
    place; a list of nothing else is empty.

    Text that a spreadsheet would take for a formula gets an apostrophe in front.
    """
    return frame.map(csv_cell).to_csv(index=False, lineterminator="\n")


def render_json(
    frame: pandas.DataFrame, verdicts: Sequence[Verdict], by: str = DEFAULT_METRIC
) -> str:
    """Strict JSON: ``{"by", "rows", "verdicts"}``; what was not measured is null."""
    values = frame.astype(object).where(frame.notna(), None)
    records = values.to_dict("records")
    document = {
        "by": cells.ranking_metric(frame, by),
        "rows": records,
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }
    return json.dumps(document, indent=1, allow_nan=False)


def _markdown_table(columns: Sequence[ShownColumn]) -> list[str]:
    lines = [
        [column.title for column in columns],
        [":--" if column.left else "--:" for column in columns],
        *([_cell(column, row) for column in columns] for row in range(len(columns[0].cells))),
    ]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(column: ShownColumn, row: int) -> str:
    # Padding for alignment has no meaning here.
    text = re.sub(r"\s+", " ", column.cells[row].strip())
    text = markdown(text) if column.text else text
    return f"**{text}**" if row in column.best else text


def markdown(text: str) -> str:
    """Text with every character escaped that Markdown would read as markup."""
    escaped = _MARKDOWN_SPECIAL.sub(r"\\\1", visible(text))
    # GitHub links bare addresses; an empty comment would be HTML, an entity is only a character.
    escaped = escaped.replace("://", "&#58;//")
    return re.sub(r"(?i)(www)\.", r"\1&#46;", escaped)


def _has_tables(values: list[Any]) -> bool:
    return any(isinstance(value, dict) for value in values)


def csv_cell(value: Any) -> Any:
    """A value as a spreadsheet may read it: lists joined, and no text that becomes a formula."""
    if isinstance(value, dict) or (isinstance(value, list) and _has_tables(value)):
        return visible(json.dumps(value, sort_keys=True))
    if isinstance(value, list):
        known = any(one is not None for one in value)
        value = "; ".join("" if one is None else str(one) for one in value) if known else ""
    if isinstance(value, str):
        value = visible(value)
    if isinstance(value, str) and value.startswith(_FORMULA_STARTS):
        return f"'{value}"
    return value
