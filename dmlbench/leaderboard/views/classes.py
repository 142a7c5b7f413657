"""An entry's test classes in a terminal, as CSV and as JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.comparison.classes import ClassScores, ClassTable, Confusion
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.views.columns import NOTHING
from dmlbench.leaderboard.views.export import csv_cell
from dmlbench.leaderboard.views.terminal import Column, print_columns, say

if TYPE_CHECKING:
    from rich.console import Console

# Best, worst and pairs shown in a terminal; JSON and CSV have all.
_SHOWN = 10


class ClassNames:
    """Names by number; a class without one is called by its number."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def __getitem__(self, number: int) -> str:
        known = number < len(self.names)
        return plain(self.names[number]) if known else f"class {number}"


def print_classes(console: Console, entry: Entry, table: ClassTable, names: ClassNames) -> None:
    """The best and worst classes, and the pairs that are confused most often."""
    say(console, f"{plain(entry.label)} on {entry.dataset.name} (entry {entry.entry_id})", "bold")
    trials = ", ".join(trial.title for trial in table.trials)
    several = len(table.trials) > 1
    say(
        console,
        f"{len(table.classes)} test classes, from the stored embeddings of {trials}. In percent"
        f"{': mean ± standard deviation over trials' if several else ''}.",
    )
    console.print()
    if len(table.classes) <= 2 * _SHOWN:
        print_columns(console, _columns("Class", table.classes, names))
    else:
        print_columns(console, _columns("Best classes", table.classes[:_SHOWN], names))
        console.print()
        worst = table.classes[: -_SHOWN - 1 : -1]
        print_columns(console, _columns("Worst classes", worst, names))
    console.print()
    if not table.confusions:
        say(console, "The nearest image of every query is of its class.")
        return
    print_columns(console, _pairs(table.confusions[:_SHOWN], names))
    console.print()
    say(
        console,
        f"{len(table.confusions)} ordered pairs of classes are confused at least once. The best "
        f"and worst of many classes are partly so by chance: --csv and --json have all of them.",
        "dim",
    )


def _columns(title: str, classes: Sequence[ClassScores], names: ClassNames) -> list[Column]:
    def spread(one: ClassScores) -> str:
        sd = NOTHING if one.map_at_r_sd is None else f"± {100 * one.map_at_r_sd:.1f}"
        return f"{100 * one.map_at_r:.1f} {sd}"

    return [
        Column(title, [names[one.number] for one in classes], text=True),
        Column("Images", [str(one.images) for one in classes]),
        Column("Trials", [str(one.trials) for one in classes]),
        Column("MAP@R", [spread(one) for one in classes]),
        Column("Recall@1", [f"{100 * one.recall_at_1:.1f}" for one in classes]),
    ]


def _pairs(pairs: Sequence[Confusion], names: ClassNames) -> list[Column]:
    return [
        Column("Queries of", [names[one.number] for one in pairs], text=True),
        Column("Nearest image is of", [names[one.nearest] for one in pairs], text=True),
        Column("Queries per trial", [f"{one.queries:.1f}" for one in pairs]),
        Column("% of the class", [f"{100 * one.share:.1f}" for one in pairs]),
    ]


def classes_csv(table: ClassTable, names: ClassNames) -> str:
    """A line per class, best first; metrics as fractions, with the class it is most confused with.

    `confused_with` and `confused_share` are empty for a class without a miss.
    """
    most: dict[int, Confusion] = {}
    for pair in table.confusions:
        most.setdefault(pair.number, pair)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [field for field in ClassScores.__dataclass_fields__ if field != "number"]
    writer.writerow(["class", "number", *columns, "confused_with", "confused_share"])
    for one in table.classes:
        pair = most.get(one.number)
        confused = ["", ""] if pair is None else [names[pair.nearest], pair.share]
        values = [names[one.number], one.number, *(getattr(one, c) for c in columns), *confused]
        writer.writerow([csv_cell(value) for value in values])
    return out.getvalue()


def classes_json(entry: Entry, table: ClassTable, names: ClassNames) -> str:
    """All classes and all confused pairs; metrics as fractions."""

    def pair(one: Confusion) -> dict[str, Any]:
        return {"class": names[one.number], "nearest_class": names[one.nearest], **asdict(one)}

    return json.dumps(
        {
            "entry_id": entry.entry_id,
            "dataset": entry.dataset.name,
            "trials": [{"split": t.split, "seed": t.seed} for t in table.trials],
            "missing": list(table.missing),
            "classes": [{"class": names[one.number], **asdict(one)} for one in table.classes],
            "confusions": [pair(one) for one in table.confusions],
        },
        indent=1,
    )
