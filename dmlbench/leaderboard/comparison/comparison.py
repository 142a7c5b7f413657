"""What a comparison of two entries says, as numbers and in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dmlbench.statistics.intervals import Difference, PairedDifference

Conclusion = Literal["better", "worse", "no significant difference", "inconclusive"]


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
    splits_differ: whether one has class splits that the other does not have.
    first_tuning_trials, other_tuning_trials: how many settings each tuning record tried.
    conclusion: "better" or "worse" where the corrected test over trials separates the two and so
        does the interval over classes and splits, if there is one; "inconclusive" with fewer than
        three common seeds (or splits, where there are several) or an entry that fails
        verification.
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
    splits_differ: bool
    code_differs: bool
    first_tuning_trials: Sequence[int]
    other_tuning_trials: Sequence[int]
    conclusion: Conclusion
    sentence: str
