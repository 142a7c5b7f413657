"""A listing laid out as a table: group after group, so memory holds one of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmlbench.errors import UsageError
from dmlbench.evaluate.metrics import metric_columns
from dmlbench.leaderboard.comparison.outcome import Verdict
from dmlbench.leaderboard.comparison.table import frame_of_rows, group_rows, published_depths
from dmlbench.leaderboard.comparison.verdict import group_verdicts
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC, resolve_metric
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.published_store import read_all_published
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.store import ABOUT, leaderboard_folders
from dmlbench.leaderboard.listing.listing import Listing, open_listing

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Board:
    """The rows of some groups of a listing, as `leaderboard_frame` has them, and their verdicts."""

    frame: pandas.DataFrame
    verdicts: list[Verdict]


def lay_out(
    listing: Listing,
    by: str = DEFAULT_METRIC,
    published: Sequence[PublishedResult] = (),
    groups: Iterable[str] | None = None,
    with_verdicts: bool = True,
) -> Board:
    """The rows and verdicts of groups; groups: their keys, by default all of the listing.

    Ranks and verdicts are those of the whole groups. Raises `UsageError` for a metric that no entry
    of the listing has.
    """
    metrics = listed_metrics(listing, published)
    by = resolve_metric(by, metrics)
    labels = Labels((), listing.submissions())
    rows: list[dict[str, Any]] = []
    found: list[Verdict] = []
    for key in listing.groups if groups is None else groups:
        members = listing.entries(key)
        rows += group_rows(key, members, by, listing.verification, labels, metrics)
        if with_verdicts:
            found += group_verdicts(key, members, by, listing.verification, labels)
        listing.forget(members)
    ids = (row.entry_id for row in listing.rows)
    return Board(frame_of_rows(rows, by, metrics, published, ids), found)


def listed_metrics(listing: Listing, published: Sequence[PublishedResult] = ()) -> list[str]:
    """Every metric column of a listing's entries."""
    texts = {row.depths for row in listing.rows}
    depths = {int(k) for text in texts for k in text.split(",") if k}
    return metric_columns((depths | published_depths(published)) or {1})


def read_leaderboard(path: str | Path, by: str = DEFAULT_METRIC) -> pandas.DataFrame:
    """Read the leaderboards of a folder, at whatever level: a row per entry, ranked.

    The columns are those of `dmlbench.leaderboard.comparison.table.leaderboard_frame`.

    path: ``<out>/<protocol>/<dataset>``, or a folder of such leaderboards.
    Files that are not entries are left out, each with a warning that names it.
    Raises `UsageError` if there is no such folder, or if it has no leaderboard.
    """
    if not leaderboard_folders(path) and not (Path(path) / ABOUT).exists():
        raise UsageError(
            f"{path} has no leaderboard. Give a folder that `dmlbench run` wrote, such as "
            f"leaderboards/zsl-v2/glyphs or one above it."
        )
    listing = open_listing(path)
    published, refused = read_all_published(path)
    for problem in [*listing.problems, *refused]:
        warnings.warn(plain(problem, 500), stacklevel=2)
    return lay_out(listing, by, published, with_verdicts=False).frame
