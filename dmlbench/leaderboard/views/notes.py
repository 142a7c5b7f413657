"""The notes below a table: few and short, or on request all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.plan.protocol import caution
from dmlbench.statistics.formatting import points
from dmlbench.statistics.intervals import FEWEST_PAIRS
from dmlbench.statistics.ranking import FEWEST_RANKED

if TYPE_CHECKING:
    import pandas

# A longer note about a single row is replaced by a count.
_LINE = 116
# So many failed trials of a row are named in its note; the entry has all of them.
_FAILURES = 5


def notes(rows: pandas.DataFrame, by: str, hidden: Sequence[str] = ()) -> list[str]:
    """All notes about a group: what its ranks can show, and every row with a problem.

    by: the metric that ranks; hidden: titles of columns that the terminal had no room for.
    """
    if rows.iloc[0]["source"] is not None:
        published = [f"as published: {source}" for source in dict.fromkeys(rows["source"])]
        return [*published, *_hidden_note(hidden)]
    return [
        *protocol_note(rows),
        *_rank_note(rows, by),
        *_splits_note(rows),
        *_problems(rows),
        *_hidden_note(hidden),
    ]


def short_notes(rows: pandas.DataFrame, by: str, hidden: Sequence[str] = ()) -> list[str]:
    """The notes of a group, three at most; several problems of rows are only counted."""
    if rows.iloc[0]["source"] is not None:
        return notes(rows, by, hidden)
    protocol, problems = protocol_note(rows), _short_problems(rows)
    ranks = "; ".join([*_rank_note(rows, by), *_splits_note(rows)])
    # What a board could have shown is the least that a reader needs of one with problems.
    left_out = not ranks or (protocol and problems and hidden)
    return [*protocol, *problems, *([] if left_out else [ranks]), *_hidden_note(hidden)]


def _short_problems(rows: pandas.DataFrame) -> list[str]:
    """At most one line: the problem, if it is the only one and short, or how many there are."""
    problems = _problems(rows)
    if len(problems) == 1 and len(problems[0]) <= _LINE:
        return problems
    counts = {
        "with failed trials": int(rows["failures"].map(bool).sum()),
        "with verification problems": int(rows["issues"].map(bool).sum()),
    }
    counted = [f"{count} row{'s' * (count > 1)} {what}" for what, count in counts.items() if count]
    why = "; `leaderboard show --explain` gives the reasons"
    return [", ".join(counted) + why] if counted else []


def protocol_note(rows: pandas.DataFrame) -> list[str]:
    """Why a group of an older protocol is not to be relied on; empty for the others."""
    note = caution(rows.iloc[0]["protocol"])
    return [note] if note else []


def _hidden_note(hidden: Sequence[str]) -> list[str]:
    names = ", ".join(hidden)
    note = f"columns hidden to fit the terminal: {names} (shown with --json or --csv)"
    return [note] if hidden else []


def _problems(rows: pandas.DataFrame) -> list[str]:
    """Each row whose checks found something, or with failed trials, and why."""
    found = []
    for row in rows.itertuples():
        if row.issues:
            status = "not ranked, fails verification: " if row.tier == "unverified" else ""
            more = f" (and {len(row.issues) - 1} more)" if len(row.issues) > 1 else ""
            found.append(f"{row.name}: {status}{row.issues[0]}{more}")
        if row.failures:
            found.append(
                f"{row.name}: {row.seeds} of {row.seeds + row.failed} trials completed, the others "
                f"count as 0; " + _listed(row.failures)
            )
    return found


def _listed(failures: Sequence[str]) -> str:
    more = len(failures) - _FAILURES
    return "; ".join(failures[:_FAILURES]) + (f"; and {more} more" if more > 0 else "")


def _splits_note(rows: pandas.DataFrame) -> list[str]:
    """What several class splits are for the intervals, and for tuning (docs/protocol.md)."""
    splits = int(rows.iloc[0]["splits"])
    if splits < 2:
        return []
    tuned = (
        "; tuned rows were tuned on the dataset's own split, whose training classes are among the "
        "test classes of the others"
    )
    text = f"intervals and ranks are over the means of the {splits} class splits"
    return [text + tuned * bool(rows["tuning_trials"].map(bool).any())]


def _rank_note(rows: pandas.DataFrame, by: str) -> list[str]:
    """How many rows lack trials for a rank, and how small a difference the others can show."""
    several = int(rows.iloc[0]["splits"]) > 1
    smallest, ranked = float(rows.iloc[0]["smallest_difference"]), int(rows["rank_low"].count())
    few = int(
        (
            (rows["seeds"] + rows["failed"] < FEWEST_RANKED)
            | (several & (rows["splits"] < FEWEST_PAIRS))
        ).sum()
    )
    parts = []
    if few:
        which = "no row is" if few == len(rows) else f"{few} of {len(rows)} rows are not"
        needs = f"--seeds {FEWEST_RANKED}"
        if several:
            needs = f"{FEWEST_RANKED} trials, on one class split or on {FEWEST_PAIRS} or more"
        parts.append(f"{which} ranked (needs {needs})")
    if smallest > 0:  # not where it is missing
        size = f"{points(smallest)} points of {metric_title(by)}"
        between = f"between the {ranked} ranked rows, " if not few else ""
        parts.append(f"{between}differences below {size} may be missed (80 % power)")
    return ["; ".join(parts)] if parts else []
