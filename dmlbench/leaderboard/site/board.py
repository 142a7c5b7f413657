"""The board as data for the index page: groups of comparable rows, each row as an array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.entries.claim import Claim
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.views import columns as cells

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict

#: What stands where in a row; "intervals" has mean, low and high of each metric in turn.
ROW = (
    "id", "hasPage", "group", "rank", "rankText", "tier", "losses", "lossNames", "combiner",
    "combinerName", "dim", "dimText", "seeds", "seedsText", "seconds", "intervals",
)  # fmt: skip
# What says most stands first: of many verdicts, the page shows a few at once.
_OUTCOMES = ("beats", "worse", "not separated", "incomplete", "undecided")
# Digits of a fraction that decide how it is rounded for people.
_DIGITS = 9


def board_data(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    sources: Mapping[str, Entry | Claim],
    by: str,
) -> dict[str, Any]:
    """Everything the index page shows, as JSON values.

    frame: of `leaderboard_frame`, ranked by `by`; sources: what its rows were made from, by key.
    """
    metrics = list(dict.fromkeys([*cells.shown_metrics(frame, by), "recall_at_1"]))
    groups, rows = [], []
    for key, members in frame.groupby("group", sort=False):
        groups.append(_group(str(key), members, verdicts))
        rows += _rows(len(groups) - 1, members, sources, metrics)
    return {
        "by": by,
        "row": list(ROW),
        "metrics": [
            {"id": m, "short": metric_title(m, short=True), "title": metric_title(m)}
            for m in metrics
        ],
        "groups": groups,
        "rows": rows,
    }


def filter_name(record: ComponentRecord | str) -> str:
    """The name by which rows are filtered: without parameters; of a claim as it was published."""
    if isinstance(record, str):
        return plain(record)
    name = plain(record.name)
    return name if record.distribution == "dmlbench" else f"{name} [{plain(record.distribution)}]"


def _group(key: str, rows: pandas.DataFrame, verdicts: Sequence[Verdict]) -> dict[str, Any]:
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
        "notes": cells.notes(rows),
    }


def _rows(
    group: int,
    rows: pandas.DataFrame,
    sources: Mapping[str, Entry | Claim],
    metrics: Sequence[str],
) -> list[list[Any]]:
    columns = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    numbers = rows[columns].to_numpy(dtype=float)
    texts = (cells.rank_cells(rows), cells.width_cells(rows), cells.seed_cells(rows))
    found = []
    for row, values, rank, dim, seeds in zip(rows.to_dict("records"), numbers, *texts, strict=True):
        source = sources[row["key"]]
        found.append([
            row["key"],
            row["source"] is None,
            group,
            _number(row["rank"]),
            rank.strip(),
            row["tier"],
            row["losses"],
            sorted({filter_name(loss) for loss in source.losses}),
            row["combiner"],
            filter_name(source.combiner) if source.combiner else None,
            int(row["embedding_dim"]),
            dim,
            int(row["seeds"]),
            seeds,
            _number(row["train_seconds"]),
            [_number(value) for value in values],
        ])  # fmt: skip
    return found


def _number(value: Any) -> int | float | None:
    """A number as JSON has it; None for a missing one."""
    number = float("nan") if value is None or value != value else float(value)
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else round(number, _DIGITS)
