"""The leaderboard as LaTeX: a table a group with the rules of the booktabs package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC, metric_title
from dmlbench.leaderboard.entries.sanitize import visible
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.notes import protocol_note
from dmlbench.leaderboard.views.table import Keep, ShownColumn, ShownTable, shown_table

if TYPE_CHECKING:
    import pandas

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "·": r"\textperiodcentered{}",
    "−": "$-$",
    "…": r"\ldots{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def render_latex(
    frame: pandas.DataFrame,
    by: str = DEFAULT_METRIC,
    metrics: Sequence[str] = (),
    keep: Keep | None = None,
) -> str:
    """A floating table per group.

    Bold is the metric that ranks, of a row that is significantly better than every other row of its
    group (its rank is 1, not a range), so a lead that may be chance is never printed bold.
    keep: gives the rows of a group to show.
    Raises `UsageError` for a metric that does not exist.
    """
    by = cells.ranking_metric(frame, by)
    tables = ["% Needs \\usepackage{booktabs}."]
    for _, rows in frame.groupby("group", sort=False):
        table = shown_table(rows, by, metrics, keep=keep)
        if table.num_shown:
            tables.append(
                _table(
                    _separated(table.columns, by), _caption(rows, table, by), protocol_note(rows)
                )
            )
    return "\n\n".join(tables) + "\n"


def latex(text: str) -> str:
    """Text with every character escaped that LaTeX would read as a command."""
    return "".join(_SPECIAL.get(character, character) for character in visible(text))


def _separated(columns: Sequence[ShownColumn], by: str) -> list[ShownColumn]:
    """The columns with those cells marked alone that separate from all others."""
    first = [i for i, rank in enumerate(columns[0].cells) if rank == "1"]
    ranking = metric_title(by, short=True)
    return [replace(c, best=frozenset(first if c.title == ranking else ())) for c in columns]


def _caption(rows: pandas.DataFrame, table: ShownTable, by: str) -> str:
    ranked = int(rows["rank_low"].count())
    parts = [cells.group_title(rows), *[table.common.rstrip(".")] * bool(table.common)]
    parts.append("In percent: mean over trials ± half of the 95 % interval")
    parts += table.notes
    if ranked > 1:
        top = int(((rows["rank_low"] == 1) & (rows["rank_high"] == 1)).sum())
        parts.append(
            f"Bold {metric_title(by)}: significantly better than every other row"
            if top
            else "No row is significantly better than every other row"
        )
    return ". ".join(parts) + "."


def _table(columns: Sequence[ShownColumn], title: str, notes: Sequence[str]) -> str:
    filled = [[_cell(column, i) for i in range(len(column.cells))] for column in columns]
    alignment = "".join("l" if column.left else "r" for column in columns)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex(title)}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        _line([latex(column.title) for column in columns]),
        r"\midrule",
        *(_line(row) for row in zip(*filled, strict=True)),
        r"\bottomrule",
        r"\end{tabular}",
        *(rf"\par\medskip{{\footnotesize {latex(note)}.\par}}" for note in notes),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _line(texts: Sequence[str]) -> str:
    # A bracket after the end of a line would be read as the height of the line.
    joined = " & ".join(texts)
    return ("{}" if joined.startswith(("[", "*")) else "") + joined + r" \\"


def _cell(column: ShownColumn, row: int) -> str:
    text = latex(re.sub(r"\s+", " ", column.cells[row].strip()))
    return rf"\textbf{{{text}}}" if row in column.best else text
