"""Entries as rows of a frame: metrics, ranks within their group, and what tables show."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dmlbench.leaderboard.comparison.groups import grouped, tuning_label
from dmlbench.leaderboard.comparison.parameters import PARAMETERS, parameters
from dmlbench.leaderboard.comparison.published_row import published_row
from dmlbench.leaderboard.comparison.ranks import group_ranks
from dmlbench.leaderboard.entries.descriptions import (
    distributions,
    failures,
    protocol_label,
    recipe_label,
)
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_interval,
    metric_names,
    resolve_metric,
)
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.verification.tiers import Verification, verified_by_checks
from dmlbench.plan.protocol import dim_budget_of

if TYPE_CHECKING:
    import pandas


def leaderboard_frame(
    entries: Iterable[Entry],
    by: str = DEFAULT_METRIC,
    verification: Callable[[Entry], Verification] = verified_by_checks,
    published: Sequence[PublishedResult] = (),
) -> pandas.DataFrame:
    """A row per entry, ranked by the metric `by` within each group of rows that compare.

    Metrics are fractions, with the ends of their 95 % intervals over trials as ``_low`` and
    ``_high`` (not clipped to 0 and 1); NaN where there is none. A failed trial counts as 0. Rows
    are sorted by group and by mean, those without a rank last.
    rank_low, rank_high: the range of ranks that a row may have (`dmlbench.statistics.ranking`);
        missing for fewer than five trials, for trials on two class splits alone, and for an entry
        that fails verification.
    position: 1 for the best mean of the ranked rows of a group, 2 for the next, and so on.
    seeds, failed: how many trials completed and failed; splits: on how many class splits.
    smallest_difference: what the group's ranked rows would have shown with 80 % power.
    verification: gives an entry's tier and issues; `Tiers(folder).verification` reads attestations.
    confirmed_on: "seeds" or "splits" (and seeds) that were fresh, of rows of tier "confirmed".
    date: when the newest trial ended; paper, code: addresses that the submitter gave. None where
        nothing says so.
    loss_params, combiner_params, dataset_params, backbone_params, recipe_params and tuned_params:
        every parameter, as tables (`dmlbench.leaderboard.comparison.parameters`).
    key: the id, with the content's hash where a configuration has several submissions; short: as
    much of it as commands need.
    published: results of papers: rows after all others, in groups of their own, without ranks.
    Raises `UsageError` for a metric that no entry has.
    """
    entries = list(entries)
    metrics = metric_names(entries, published_depths(published))
    by = resolve_metric(by, metrics)
    labels = Labels(entries)
    rows: list[dict[str, Any]] = []
    for key, members in grouped(entries).items():
        rows += group_rows(key, members, by, verification, labels, metrics)
    return frame_of_rows(rows, by, metrics, published)


def group_rows(
    key: str,
    members: Sequence[Entry],
    by: str,
    verification: Callable[[Entry], Verification],
    labels: Labels,
    metrics: Sequence[str],
) -> list[dict[str, Any]]:
    """The rows of one group, best first; arguments as for `leaderboard_frame`."""
    verifications = [verification(entry) for entry in members]
    ranks = group_ranks(members, verifications, by)
    rows = [
        _row(entry, key, found, labels, metrics)
        | dict(zip(("rank_low", "rank_high"), rank or (None, None), strict=True))
        | {"smallest_difference": ranks.smallest}
        for entry, rank, found in zip(members, ranks.ranges, verifications, strict=True)
    ]
    rows.sort(key=lambda row: _place(row, by))
    for position, row in enumerate(rows, start=1):
        row["position"] = None if row["rank_low"] is None else position
    return rows


def frame_of_rows(
    rows: Sequence[dict[str, Any]],
    by: str,
    metrics: Sequence[str],
    published: Sequence[PublishedResult] = (),
    ids: Iterable[str] = (),
) -> pandas.DataFrame:
    """The frame of the rows of `group_rows`, those of published results after them.

    ids: of entries that are on the board beside those of the rows.
    """
    import pandas

    others = [published_row(result) for result in published]
    others.sort(key=lambda row: (row["group"], *_place({by: None} | row, by)))
    rows = [*rows, *others]
    shortest = _short_length({*ids, *(row["entry_id"] for row in rows)})
    for row in rows:
        alone = row["key"] == row["entry_id"]
        row["short"] = row["key"][:shortest] if alone else row["key"]
    # Objects first: pandas 3 would turn the None of a row without combiner into NaN.
    frame = pandas.DataFrame(rows, columns=_columns(metrics), dtype=object)
    return frame.astype(_types(metrics))


def published_depths(published: Iterable[PublishedResult]) -> set[int]:
    """The K of the Recall@K that published results have."""
    return {int(k) for result in published for k in result.metrics.recall_at}


_LEADING = ("entry_id", "rank_low", "rank_high", "tier", "losses", "combiner")
_SETTINGS = ("dataset", "backbone", "pretrained", "recipe", "protocol", "dim_budget")
_COUNTS = ("embedding_dim", "seeds", "failed", "splits")
_TRAILING = (
    "position",
    "smallest_difference",
    "train_seconds",
    "process_seconds",
    "device_seconds",
    "head_parameters",
    "tuning_trials",
    "tuning",
    "loss_rates",
    "head_dims",
    "distributions",
    "failures",
    *PARAMETERS,
)
_SECONDS = ("train_seconds", "process_seconds", "device_seconds")
_ORIGIN = ("confirmed_on", "submitter", "date", "paper", "code", "issues", "source")
_NAMES = ("group", "key", "short", "name")


def _columns(metrics: Sequence[str]) -> list[str]:
    numbers = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    return [*_LEADING, *_SETTINGS, *_COUNTS, *numbers, *_TRAILING, *_ORIGIN, *_NAMES]


def _types(metrics: Sequence[str]) -> dict[str, str]:
    numbers = [f"{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]
    types = dict.fromkeys(_COUNTS, "int64") | {"pretrained": "bool"}
    types |= dict.fromkeys(("rank_low", "rank_high", "position", "head_parameters"), "Int64")
    return types | dict.fromkeys([*numbers, *_SECONDS, "smallest_difference"], "float64")


def _row(
    entry: Entry,
    group: str,
    verification: Verification,
    labels: Labels,
    metrics: Sequence[str],
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "entry_id": entry.entry_id,
        "key": labels.key(entry),
        "tier": verification.tier,
        "name": labels.row(entry),
        "losses": labels.losses(entry),
        "combiner": labels.component(entry.combiner, entry) if entry.combiner else None,
        "dataset": labels.component(entry.dataset),
        "backbone": labels.component(entry.backbone),
        "pretrained": entry.backbone.weights_sha256 is not None,
        "recipe": recipe_label(entry),
        "protocol": protocol_label(entry),
        "dim_budget": plain(str(dim_budget_of(entry.protocol.rules))),
        "embedding_dim": entry.embedding_dim,
        "seeds": len(entry.completed),
        "failed": len(entry.trials) - len(entry.completed),
        "splits": len(entry.splits),
        **{name: _mean_cost(entry, name) for name in _SECONDS},
        "head_parameters": entry.head_parameters,
        "tuning_trials": entry.tuning_counts,
        "tuning": tuning_label(entry),
        "loss_rates": [loss.learning_rate for loss in entry.losses],
        "head_dims": list(entry.head_dims),
        "distributions": distributions(entry),
        "failures": failures(entry),
        **parameters(entry),
        "confirmed_on": verification.confirmed_on,
        "submitter": plain(entry.submitter) if entry.submitter else None,
        "date": entry.date,
        "paper": entry.paper,
        "code": entry.code,
        "issues": [plain(issue, 500) for issue in verification.issues],
        "source": None,
        "group": group,
    }
    for metric in metrics:
        interval = metric_interval(entry, metric)
        ends = interval if interval is not None else (None, None, None)
        row |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), ends, strict=True))
    return row


def _mean_cost(entry: Entry, name: str) -> float | None:
    """Mean seconds of the completed trials; None where a trial does not record them."""
    seconds = [getattr(trial.cost, name) for trial in entry.completed]
    return sum(seconds) / len(seconds) if seconds and None not in seconds else None


def _short_length(ids: Collection[str], least: int = 6) -> int:
    """How many digits tell the ids apart, as commands take their beginnings."""
    ordered = sorted(ids)
    alike = (len(os.path.commonprefix(pair)) for pair in zip(ordered, ordered[1:], strict=False))
    return min(16, max(least, 1 + max(alike, default=0)))


def _place(row: dict[str, Any], by: str) -> tuple[Any, ...]:
    """Ranked rows first, and those that fail their checks last; by mean among each.

    The mean of one seed is not listed above rows that were measured better.
    """
    mean, unranked = row[by], row["rank_low"] is None
    return (
        unranked,
        unranked and row["tier"] == "unverified",
        mean is None,
        -(mean or 0.0),
        row["losses"],
        row["entry_id"],
    )
