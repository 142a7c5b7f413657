"""The ranks of a group's rows, and what its board could have told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_interval, values_by_trial
from dmlbench.leaderboard.verification.tiers import Verification
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
    """
    ranked = [
        i
        for i, (entry, verification) in enumerate(zip(entries, verifications, strict=True))
        if verification.tier != "unverified" and _can_be_ranked(entry, by)
    ]
    rows = [values_by_trial(entries[i], by) for i in ranked]
    configurations = [entries[i].entry_id for i in ranked]
    found = rank_ranges(rows, configurations)
    ranges: list[RankRange | None] = [None] * len(entries)
    for i, range_ in zip(ranked, found, strict=True):
        ranges[i] = range_
    return GroupRanks(tuple(ranges), smallest_difference(rows, configurations))


def _can_be_ranked(entry: Entry, by: str) -> bool:
    if len(entry.trials) < FEWEST_RANKED or metric_interval(entry, by) is None:
        return False
    return len(by_unit(values_by_trial(entry, by))) >= FEWEST_PAIRS
