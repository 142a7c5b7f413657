"""The board as data for the index page: groups of comparable rows, each row as an array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard import cells
from dmlbench.leaderboard.entry import ComponentRecord, Entry
from dmlbench.leaderboard.plain import plain
from dmlbench.leaderboard.metrics import metric_title

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.verdict import Verdict

#: What stands where in a row; "interval" repeats once a metric: mean, low, high.
ROW = (
    "id", "group", "rank", "rankText", "tier", "losses", "lossNames", "combiner", "combinerName",
    "dim", "dimText", "seeds", "seedsText", "seconds", "intervals",
)  # fmt: skip
# What says most stands first: of many verdicts, the page shows a few at once.
_OUTCOMES = ("beats", "worse", "no difference", "incomplete", "undecided")
# Digits of a fraction that decide how it is rounded for people.
_DIGITS = 9


def board_data(
    frame: pandas.DataFrame,
    verdicts: Sequence[Verdict],
    entries: Mapping[str, Entry],
    by: str,
) -> dict[str, Any]:
    """Everything the index page shows, as JSON values.

    frame: of `leaderboard_frame`, ranked by `by`; entries: by id.
    """
    metrics = list(dict.fromkeys([*cells.shown_metrics(frame, by), "recall_at_1"]))
    groups, rows = [], []
    for key, members in frame.groupby("group", sort=False):
        groups.append(_group(str(key), members, verdicts))
        rows += _rows(len(groups) - 1, members, entries, metrics)
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


def component_name(record: ComponentRecord) -> str:
    """A component's name without parameters, by which rows are filtered."""
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
        "verdicts": [[v.entry_id, v.outcome, v.sentence] for v in found],
        "notes": cells.notes(rows),
    }


def _rows(
    group: int, rows: pandas.DataFrame, entries: Mapping[str, Entry], metrics: Sequence[str]
) -> list[list[Any]]:
    columns = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    numbers = rows[columns].to_numpy(dtype=float)
    texts = (cells.rank_cells(rows), cells.width_cells(rows), cells.seed_cells(rows))
    found = []
    for row, values, rank, dim, seeds in zip(
        rows.to_dict("records"), numbers, *texts, strict=True
    ):
        entry = entries[row["entry_id"]]
        combiner = entry.combiner
        found.append([
            row["entry_id"],
            group,
            _number(row["rank"]),
            rank.strip(),
            row["tier"],
            row["losses"],
            sorted({component_name(loss) for loss in entry.losses}),
            row["combiner"],
            component_name(combiner) if combiner else None,
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
