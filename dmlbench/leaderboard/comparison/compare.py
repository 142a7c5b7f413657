"""Two entries compared: over the trials they share, over queries, and over test classes.

Trials say how far the difference depends on the luck of a training, queries and classes how far it
depends on what the test set happened to hold. A difference is claimed where neither the trials nor
the test classes (and splits, where there are several) explain it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.comparison.groups import group_key, group_parts
from dmlbench.leaderboard.comparison.outcome import SIGNIFICANCE
from dmlbench.leaderboard.comparison.queries import query_scores
from dmlbench.leaderboard.comparison.sentence import common_seeds, units_text
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    metric_names,
    metric_title,
    resolve_metric,
    values_by_trial,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.verification.tiers import Tiers
from dmlbench.statistics.bootstrap import RESAMPLES, class_difference, query_difference
from dmlbench.statistics.formatting import listed, p_text, points
from dmlbench.statistics.intervals import Difference, PairedDifference, holm, paired_difference

Conclusion = Literal["above", "below", "not separated", "undecided"]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The first entry minus the other.

    values: (split, seed, difference) for each trial that both have; a failed trial counts as 0.
    seeds: paired over trials (Student t), or over splits where there are several. p_adjusted: after
        Holm, for all comparisons made at once.
    classes: over whole test classes, and over splits where there are several (bootstrap); None
        where there are no scores of single queries, for the reason in `no_queries`.
    queries: paired over queries (bootstrap); None as for `classes`, and over several splits, whose
        queries differ.
    first_tier, other_tier: how far each can be trusted (`dmlbench.leaderboard.verification.tiers`).
    first_tries, other_tries: the budgets by which losses and combiner were tuned.
    conclusion: "above" or "below" where the corrected test over trials separates the two and so
        does the interval over classes and splits, if there is one; "undecided" with fewer than
        three common seeds (or splits, where there are several) or an entry that does not stand its
        checks.
    """

    metric: str
    first: str
    first_id: str
    first_tier: str
    other: str
    other_id: str
    other_tier: str
    values: Sequence[tuple[int, int, float]]
    seeds: PairedDifference
    p_adjusted: float | None
    num_comparisons: int
    queries: Difference | None
    classes: Difference | None
    num_queries: int | None
    no_queries: str | None
    code_differs: bool
    first_tries: Sequence[int]
    other_tries: Sequence[int]
    conclusion: Conclusion
    sentence: str


@dataclass(frozen=True)
class Located:
    """An entry and the leaderboard's folder in which it lies."""

    entry: Entry
    leaderboard: Path

    @cached_property
    def tier(self) -> str:
        """How far it can be trusted, by what lies beside it."""
        return Tiers(self.leaderboard).standing(self.entry).tier


def compare(
    first: Located, others: Sequence[Located], by: str = DEFAULT_METRIC, resamples: int = RESAMPLES
) -> list[Comparison]:
    """Compare one entry with each of the others, corrected for their number.

    Raises `UsageError` for a metric that they have not, and for entries of different groups,
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
        decided.append(replace(comparison, sentence=_sentence(comparison)))
    return decided


def require_same_group(one: Entry, other: Entry) -> None:
    """Raise `UsageError` naming what differs, unless the two may be compared."""
    if one.content_sha256() == other.content_sha256():
        raise UsageError(f"{one.entry_id} is compared with itself; name two entries.")
    if group_key(one) == group_key(other):
        return
    a, b = _flat(group_parts(one)), _flat(group_parts(other))
    differing = [
        f"{key} ({plain(str(a.get(key, 'none')), 40)} and {plain(str(b.get(key, 'none')), 40)})"
        for key in sorted(a.keys() | b.keys())
        if a.get(key) != b.get(key)
    ]
    raise UsageError(
        f"{plain(one.label)} ({one.entry_id}) and {plain(other.label)} ({other.entry_id}) do not "
        f"compare: they differ in {listed(differing)}. Rows compare within one dataset, backbone, "
        f"pretraining, recipe, protocol and width; run one of them again as the other was."
    )


def _compare(first: Located, other: Located, by: str, labels: Labels, resamples: int) -> Comparison:
    a, b = values_by_trial(first.entry, by), values_by_trial(other.entry, by)
    shared = sorted(a.keys() & b.keys())
    queries = classes = num_queries = no_queries = None
    try:
        if not shared:
            raise VerificationError("they share no seed")
        splits = []
        for split in sorted({key[0] for key in shared}):
            keys = [key for key in shared if key[0] == split]
            ours = query_scores(first.entry, first.leaderboard, by, keys)
            theirs = query_scores(other.entry, other.leaderboard, by, keys)
            if not np.array_equal(ours.labels, theirs.labels):
                raise VerificationError("the two were tested on different queries")
            splits.append((ours.scores, theirs.scores, ours.labels))
        if len(splits) == 1:
            queries = query_difference(*splits[0][:2], resamples)
        classes = class_difference(splits, resamples)
        num_queries = sum(len(labels) for _, _, labels in splits)
    except VerificationError as error:
        no_queries = str(error)
    return Comparison(
        metric=by,
        first=labels.row(first.entry),
        first_id=first.entry.entry_id,
        first_tier=first.tier,
        other=labels.row(other.entry),
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
        code_differs=first.entry.code_of_dmlbench != other.entry.code_of_dmlbench,
        first_tries=first.entry.tuning_budgets,
        other_tries=other.entry.tuning_budgets,
        conclusion="undecided",
        sentence="",
    )


def _conclusion(comparison: Comparison) -> Conclusion:
    if comparison.p_adjusted is None or _doubted(comparison):
        return "undecided"
    if comparison.p_adjusted >= SIGNIFICANCE:
        return "not separated"
    if comparison.classes is not None and comparison.classes.includes_zero:
        return "not separated"
    return "above" if comparison.seeds.mean > 0 else "below"


def _in_words(tries: Sequence[int]) -> str:
    return f"with {listed(list(map(str, tries)))} tries" if tries else "not at all"


def _doubted(comparison: Comparison) -> list[str]:
    """Which of the two do not stand their checks."""
    rows = {comparison.first: comparison.first_tier, comparison.other: comparison.other_tier}
    return [row for row, tier in rows.items() if tier == "unverified"]


def _sentence(c: Comparison) -> str:
    metric, seeds = metric_title(c.metric), c.seeds
    if doubted := _doubted(c):
        stand = "does not stand its" if len(doubted) == 1 else "do not stand their"
        return (
            f"Nothing can be concluded: {listed(doubted)} {stand} checks. "
            f"`dmlbench leaderboard verify` says what does not hold."
        )
    if seeds.mean is None:
        return f"{c.first} and {c.other} have no seed in common: nothing can be concluded."
    size = f"{points(abs(seeds.mean))} points of {metric}"
    if c.conclusion == "undecided":
        side = "above" if seeds.mean >= 0 else "below"
        return (
            f"From {common_seeds(seeds)} nothing can be concluded: {c.first} lies {size} {side} "
            f"{c.other}; run both with more seeds."
        )
    evidence = (
        f"over {units_text(seeds)} {points(seeds.low)} to {points(seeds.high)}, "
        f"{p_text('p', seeds.p_value)}"
    )
    if c.num_comparisons > 1:
        evidence += f", {p_text('p', c.p_adjusted)} corrected for {c.num_comparisons} comparisons"
    if c.queries is not None:
        evidence += (
            f"; over {c.num_queries} queries {points(c.queries.low)} to {points(c.queries.high)}"
        )
    if c.classes is not None:
        splits = " and splits" if seeds.num_splits > 1 else ""
        evidence += (
            f"; over test classes{splits} {points(c.classes.low)} to {points(c.classes.high)}"
        )
    if c.conclusion == "not separated":
        text = (
            f"{c.first} and {c.other} do not separate: the difference is "
            f"{points(seeds.mean, signed=True)} points of {metric} (95 % intervals: {evidence})"
        )
        if c.p_adjusted < SIGNIFICANCE:
            text += "; the seeds agree, but it may not hold on other test classes"
    else:
        text = f"{c.first} is {c.conclusion} {c.other} by {size} (95 % intervals: {evidence})"
    if c.no_queries is not None:
        text += f"; not compared over queries, for {plain(c.no_queries, 300)}"
    text += "."
    if c.first_tier == c.other_tier:
        text += f" Both are {c.first_tier}."
    else:
        text += f" The first is {c.first_tier}, the other {c.other_tier}."
    if c.first_tries != c.other_tries:
        text += (
            f" They were not tuned alike: the first {_in_words(c.first_tries)}, the other "
            f"{_in_words(c.other_tries)}."
        )
    if c.code_differs:
        text += " The two ran with different versions of the code; run both again to be sure."
    return text


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else key)
    return flat
