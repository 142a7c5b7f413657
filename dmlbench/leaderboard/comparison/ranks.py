"""The ranks of a group's rows, and what its board could have told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_interval, values_by_trial
from dmlbench.leaderboard.verification.tiers import TRAINED_AGAIN, Verification
from dmlbench.statistics.intervals import FEWEST_PAIRS, by_unit
from dmlbench.statistics.ranking import (
    FEWEST_RANKED,
    RankRange,
    rank_ranges,
    smallest_difference,
)


@dataclass(frozen=True)
class GroupRanks:
    """Ranges of ranks, None where a row has none, and the smallest difference that would show.

    smallest: a fraction of the metric, with 80 % power, between two typical ranked rows; None where
        fewer than two configurations are ranked.
    """

    ranges: tuple[RankRange | None, ...]
    smallest: float | None


def group_ranks(
    entries: Sequence[Entry], verifications: Sequence[Verification], by: str
) -> GroupRanks:
    """Rank the entries of one group by a metric, failed trials as 0.

    No rank for fewer than five trials, for trials on two class splits alone, for an entry that
    fails its checks, or for a metric that was not measured in every completed trial.

    Of a configuration's submissions those that somebody else trained again count alone where there
    are some: a made-up one, which is low on purpose, would otherwise keep it from being better than
    any row.
    """
    ranked = [
        i
        for i, (entry, verification) in enumerate(zip(entries, verifications, strict=True))
        if verification.tier != "unverified" and _can_be_ranked(entry, by)
    ]
    rows = {i: values_by_trial(entries[i], by) for i in ranked}
    of = {i: entries[i].entry_id for i in ranked}
    known = {of[i] for i in ranked if verifications[i].tier in TRAINED_AGAIN}
    counted = [i for i in ranked if verifications[i].tier in TRAINED_AGAIN or of[i] not in known]

    def ranges_of(chosen: Sequence[int]) -> list[RankRange]:
        return rank_ranges([rows[i] for i in chosen], [of[i] for i in chosen])

    ranges: list[RankRange | None] = [None] * len(entries)
    for i, range_ in zip(counted, ranges_of(counted), strict=True):
        ranges[i] = range_
    for i in set(ranked) - set(counted):
        # In the place of those of its configuration that count.
        ranges[i] = ranges_of([i, *(other for other in counted if of[other] != of[i])])[0]
    smallest = smallest_difference([rows[i] for i in counted], [of[i] for i in counted])
    return GroupRanks(tuple(ranges), smallest)


def _can_be_ranked(entry: Entry, by: str) -> bool:
    if len(entry.trials) < FEWEST_RANKED or metric_interval(entry, by) is None:
        return False
    return len(by_unit(values_by_trial(entry, by))) >= FEWEST_PAIRS
