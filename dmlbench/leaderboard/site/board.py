"""The board as data for the index page: groups of comparable rows, each row as an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.evaluate.metrics import metric_spec
from dmlbench.leaderboard.comparison.sentence import brief
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.site.board_rows import ROW, board_rows
from dmlbench.leaderboard.site.finding import finding
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.notes import notes, protocol_note
from dmlbench.leaderboard.views.table import LEADING, TRAILING, TableColumn

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict

# What says most comes first: of many verdicts, the page shows a few at once.
_OUTCOMES = ("better", "worse", "no significant difference", "incomplete", "inconclusive")
# Groups of so few rows are folded, and come after the larger ones.
_FEW_ROWS = 2


def board_data(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    sources: Mapping[str, Entry | PublishedResult],
    by: str,
    labels: Labels,
) -> dict[str, Any]:
    """Everything the index page shows, as JSON values.

    frame: of `leaderboard_frame`, ranked by `by`; sources: what its rows were made from, by key;
    labels: of all entries.
    """
    metrics = list(dict.fromkeys([*cells.shown_metrics(frame, by), "recall_at_1"]))
    groups, rows = [], []
    for key, members, folded in _in_order(frame):
        groups.append(_group(key, members, verdicts, by) | {"folded": folded})
        rows += board_rows(len(groups) - 1, members, sources, metrics, labels)
    return {
        "by": by,
        "row": list(ROW),
        "metrics": [
            {
                "id": metric,
                "short": metric_spec(metric).heading,
                "title": metric_spec(metric).title,
                # Two say enough at first, and leave room for names and intervals.
                "rest": metric not in (by, "recall_at_1"),
            }
            for metric in metrics
        ],
        "leading": list(map(_column, LEADING)),
        "trailing": list(map(_column, TRAILING)),
        "groups": groups,
        "rows": rows,
    }


def _in_order(frame: pandas.DataFrame) -> list[tuple[str, pandas.DataFrame, bool]]:
    """Key and rows of each group, and whether it is folded: a few rows beside larger groups.

    What was measured comes first, by the present protocol before older ones and small groups after
    larger ones; then published results.
    """
    groups = [(str(key), rows) for key, rows in frame.groupby("group", sort=False)]
    largest = max((len(rows) for _, rows in groups), default=0)
    few = {key for key, rows in groups if len(rows) <= _FEW_ROWS < largest}

    def place(group: tuple[str, pandas.DataFrame]) -> tuple[bool, bool, bool]:
        key, rows = group
        return rows.iloc[0]["source"] is not None, bool(protocol_note(rows)), key in few

    return [(key, rows, key in few) for key, rows in sorted(groups, key=place)]


def _group(
    key: str, rows: pandas.DataFrame, verdicts: Sequence[Verdict], by: str
) -> dict[str, Any]:
    first = rows.iloc[0]
    dataset = str(first["dataset"])
    found = sorted(
        (verdict for verdict in verdicts if verdict.group == key),
        key=lambda verdict: _OUTCOMES.index(verdict.outcome),
    )
    cautions = protocol_note(rows)
    return {
        "key": key,
        "dataset": dataset,
        "backbone": str(first["backbone"]),
        "about": cells.group_title(rows).removeprefix(f"{dataset} · "),
        "finding": finding(rows, found, by),
        "verdicts": [[v.key, v.outcome, _in_brief(v), v.sentence] for v in found],
        # What says not to rely on the rows comes before them.
        "cautions": cautions,
        "notes": [note for note in notes(rows, by) if note not in cautions],
        # Columns that say nothing about these rows.
        "without": [column.id for column in (*LEADING, *TRAILING) if not column.cells(rows)],
    }


def _in_brief(verdict: Verdict) -> str:
    """A verdict on a line."""
    if verdict.best_single is None:
        return f"{verdict.combiner}: no single loss to compare with"
    if verdict.p_adjusted is None:
        return f"{verdict.combiner}: too few common seeds with {verdict.best_single}"
    return brief(verdict)


def _column(column: TableColumn) -> dict[str, Any]:
    names = ("id", "title", "text", "ascending", "screen")
    return {name: getattr(column, name) for name in names}
