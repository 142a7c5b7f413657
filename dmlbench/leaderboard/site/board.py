"""The board as data for the index page: groups of comparable rows, each row as an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.evaluate.metrics import metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.site.board_rows import ROW, board_rows
from dmlbench.leaderboard.views import columns as cells
from dmlbench.leaderboard.views.notes import notes
from dmlbench.leaderboard.views.table import LEADING, TRAILING, TableColumn

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict

# What says most comes first: of many verdicts, the page shows a few at once.
_OUTCOMES = ("better", "worse", "no significant difference", "incomplete", "inconclusive")


def board_data(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    sources: Mapping[str, Entry | PublishedResult],
    by: str,
) -> dict[str, Any]:
    """Everything the index page shows, as JSON values.

    frame: of `leaderboard_frame`, ranked by `by`; sources: what its rows were made from, by key.
    """
    metrics = list(dict.fromkeys([*cells.shown_metrics(frame, by), "recall_at_1"]))
    groups, rows = [], []
    for key, members in frame.groupby("group", sort=False):
        groups.append(_group(str(key), members, verdicts, by))
        rows += board_rows(len(groups) - 1, members, sources, metrics)
    return {
        "by": by,
        "row": list(ROW),
        "metrics": [
            {
                "id": metric,
                "short": metric_spec(metric).heading,
                "title": metric_spec(metric).title,
                # Of Recall@K the least K says enough at first.
                "rest": metric != by and (recall_depth(metric) or 1) > 1,
            }
            for metric in metrics
        ],
        "leading": list(map(_column, LEADING)),
        "trailing": list(map(_column, TRAILING)),
        "groups": groups,
        "rows": rows,
    }


def _group(
    key: str, rows: pandas.DataFrame, verdicts: Sequence[Verdict], by: str
) -> dict[str, Any]:
    first = rows.iloc[0]
    dataset = str(first["dataset"])
    found = sorted(
        (verdict for verdict in verdicts if verdict.group == key),
        key=lambda verdict: _OUTCOMES.index(verdict.outcome),
    )
    return {
        "key": key,
        "dataset": dataset,
        "backbone": str(first["backbone"]),
        "about": cells.group_title(rows).removeprefix(f"{dataset} · "),
        "verdicts": [[v.key, v.outcome, v.sentence] for v in found],
        "notes": notes(rows, by),
        # Columns that say nothing about these rows.
        "without": [column.id for column in (*LEADING, *TRAILING) if not column.cells(rows)],
    }


def _column(column: TableColumn) -> dict[str, Any]:
    names = ("id", "title", "text", "ascending", "screen")
    return {name: getattr(column, name) for name in names}
