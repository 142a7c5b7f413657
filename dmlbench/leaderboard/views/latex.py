"""The leaderboard as LaTeX: a table a group with the rules of the booktabs package."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
from dmlbench.leaderboard.entries.sanitize import visible
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.notes import protocol_note
from dmlbench.leaderboard.views.table import ShownColumn, shown_columns

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
    frame: pandas.DataFrame, by: str = DEFAULT_METRIC, metrics: Sequence[str] = ()
) -> str:
    """A floating table a group; the best of the ranked rows is bold in each metric.

    Raises `UsageError` for a metric that does not exist.
    """
    by = cells.ranking_metric(frame, by)
    tables = ["% Needs \\usepackage{booktabs}."]
    for _, rows in frame.groupby("group", sort=False):
        columns = shown_columns(rows, by, metrics)
        tables.append(_table(columns, cells.group_title(rows), protocol_note(rows)))
    return "\n\n".join(tables) + "\n"


def latex(text: str) -> str:
    """Text with every character escaped that LaTeX would read as a command."""
    return "".join(_SPECIAL.get(character, character) for character in visible(text))


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
