"""What a group of rows shows, in two sentences: the first thing that its reader sees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.views.columns import metric_cells
from dmlbench.statistics.formatting import listed

if TYPE_CHECKING:
    import pandas

    from dmlbench.leaderboard.comparison.outcome import Verdict


def finding(rows: pandas.DataFrame, verdicts: Sequence[Verdict], by: str) -> list[str]:
    """Whether combinations beat their best single loss, and what is at the top.

    rows: a group of `leaderboard_frame`, as ordered there; verdicts: those of the group.
    Sentences; none for published results, which are neither compared nor ranked.
    """
    if rows.iloc[0]["source"] is not None:
        return []
    return [*filter(None, [_combinations(verdicts)]), _top(rows, by)]


def _combinations(verdicts: Sequence[Verdict]) -> str:
    if not verdicts:
        return ""
    counts = Counter(verdict.outcome for verdict in verdicts)
    better, total = counts["better"], len(verdicts)
    undecided = counts["incomplete"] + counts["inconclusive"]
    if total == 1:
        name = verdicts[0].combiner
        if undecided:
            return f"Whether {name} beats its best single loss is undecided."
        return f"{name} {'beats' if better else 'does not beat'} its best single loss."
    others = [
        f"{count} {'is' if count == 1 else 'are'} {words}"
        for count, words in (
            (counts["worse"], "worse"),
            (counts["no significant difference"], "not significantly different"),
            (undecided, "undecided"),
        )
        if count
    ]
    verb = "beat their" if better > 1 else "beats its"
    text = f"{better or 'None'} of {total} combinations of losses {verb} best single loss"
    return f"{text}; {listed(others)}." if others else f"{text}."


def _top(rows: pandas.DataFrame, by: str) -> str:
    """The best mean, and how many rows may be first."""
    first, metric = rows.iloc[0], metric_title(by)
    ranked = rows["rank_low"].notna()
    if not ranked.any():
        return "No row is ranked."
    mean = " ".join(metric_cells(rows.iloc[:1], by)[0].split())
    text = f"Highest {metric}: {first['name']}, {mean}"
    # Several submissions of a configuration count once.
    total = rows["entry_id"][ranked].nunique()
    firsts = rows["entry_id"][ranked & (rows["rank_low"] == 1)].nunique()
    if total == 1:
        return f"{text}."
    if firsts == 1:
        return f"{text}; it is first of {total} ranked rows."
    return f"{text}; {firsts} of {total} ranked rows may be first."
