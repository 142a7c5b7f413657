"""Two entries compared: over the trials they share, over queries, and over test classes.

Trials say how far the difference depends on the luck of a training, queries and classes how far it
depends on what the test set happened to hold. A difference is reported where neither the trials nor
the test classes (and splits, where there are several) explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.comparison.compare_sentence import compare_sentence, failing
from dmlbench.leaderboard.comparison.comparison import Comparison, Conclusion
from dmlbench.leaderboard.comparison.groups import group_parts
from dmlbench.leaderboard.comparison.outcome import SIGNIFICANCE
from dmlbench.leaderboard.comparison.queries import query_scores
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_names,
    resolve_metric,
    values_by_trial,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.verification.tiers import Tiers
from dmlbench.statistics.bootstrap import RESAMPLES, class_difference, query_difference
from dmlbench.statistics.formatting import listed
from dmlbench.statistics.intervals import holm, paired_difference


@dataclass(frozen=True)
class Located:
    """An entry and the leaderboard's folder that it is in."""

    entry: Entry
    leaderboard: Path

    @cached_property
    def tier(self) -> str:
        """How far it can be trusted, by what is stored beside it."""
        return Tiers(self.leaderboard).verification(self.entry).tier


def compare(
    first: Located, others: Sequence[Located], by: str = DEFAULT_METRIC, resamples: int = RESAMPLES
) -> list[Comparison]:
    """Compare one entry with each of the others, corrected for their number.

    Only over trials that both have: of entries on different class splits, those on common ones.
    Raises `UsageError` for a metric that they do not have, and for entries of different groups,
    naming what differs.
    """
    entries = [first.entry, *(other.entry for other in others)]
    by = resolve_metric(by, metric_names(entries))
    for other in others:
        require_same_group(first.entry, other.entry)
    labels = Labels(entries)
    found = [_compare(first, other, by, labels, resamples) for other in others]
    adjusted = holm([comparison.seeds.p_value for comparison in found])
    count = sum(p is not None for p in adjusted)
    decided = []
    for comparison, p in zip(found, adjusted, strict=True):
        comparison = replace(comparison, p_adjusted=p, num_comparisons=count)
        comparison = replace(comparison, conclusion=_conclusion(comparison))
        decided.append(replace(comparison, sentence=compare_sentence(comparison)))
    return decided


def require_same_group(one: Entry, other: Entry) -> None:
    """Raise `UsageError` naming what differs, unless the two may be compared."""
    if one.content_sha256() == other.content_sha256():
        raise UsageError(f"{one.entry_id} is compared with itself; name two entries.")
    a, b = (_flat({**group_parts(entry), "splits": None}) for entry in (one, other))
    if a == b:
        return
    differing = [
        f"{key} ({plain(str(a.get(key, 'none')), 40)} and {plain(str(b.get(key, 'none')), 40)})"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]
    raise UsageError(
        f"{plain(one.label)} ({one.entry_id}) and {plain(other.label)} ({other.entry_id}) cannot "
        f"be compared: they differ in {listed(differing)}. Rows compare within one dataset, "
        f"backbone, pretraining, recipe, protocol and dimension budget. Run one of them again with "
        f"the settings of the other."
    )


def _compare(first: Located, other: Located, by: str, labels: Labels, resamples: int) -> Comparison:
    a, b = values_by_trial(first.entry, by), values_by_trial(other.entry, by)
    shared = sorted(a.keys() & b.keys())
    queries = classes = num_queries = no_queries = None
    try:
        if not shared:
            raise VerificationError("they share no trial")
        splits = []
        for split in sorted({key[0] for key in shared}):
            keys = [key for key in shared if key[0] == split]
            ours = query_scores(first.entry, first.leaderboard, by, keys)
            theirs = query_scores(other.entry, other.leaderboard, by, keys)
            if not np.array_equal(ours.classes, theirs.classes):
                raise VerificationError("the two were tested on different queries")
            splits.append((ours.scores, theirs.scores, ours.classes))
        if len(splits) == 1:
            queries = query_difference(*splits[0][:2], resamples)
        classes = class_difference(splits, resamples)
        num_queries = sum(len(labels) for _, _, labels in splits)
    except VerificationError as error:
        no_queries = str(error)
    names = [labels.row(located.entry) for located in (first, other)]
    if names[0] == names[1]:
        names = [
            f"{name} ({labels.key(x.entry)})" for name, x in zip(names, (first, other), strict=True)
        ]
    return Comparison(
        metric=by,
        first=names[0],
        first_id=first.entry.entry_id,
        first_tier=first.tier,
        other=names[1],
        other_id=other.entry.entry_id,
        other_tier=other.tier,
        values=[(*key, a[key] - b[key]) for key in shared],
        seeds=paired_difference(a, b),
        p_adjusted=None,
        num_comparisons=0,
        queries=queries,
        classes=classes,
        num_queries=num_queries,
        no_queries=no_queries,
        splits_differ=first.entry.splits != other.entry.splits,
        code_differs=first.entry.code_of_dmlbench != other.entry.code_of_dmlbench,
        first_tuning_trials=first.entry.tuning_counts,
        other_tuning_trials=other.entry.tuning_counts,
        conclusion="inconclusive",
        sentence="",
    )


def _conclusion(comparison: Comparison) -> Conclusion:
    if comparison.p_adjusted is None or failing(comparison):
        return "inconclusive"
    if comparison.p_adjusted >= SIGNIFICANCE:
        return "no significant difference"
    if comparison.classes is not None and comparison.classes.includes_zero:
        return "no significant difference"
    return "better" if comparison.seeds.mean > 0 else "worse"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat
