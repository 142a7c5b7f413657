"""What comparing a combination with its best single loss found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dmlbench.statistics.intervals import PairedDifference

SIGNIFICANCE = 0.05
Outcome = Literal["better", "worse", "no significant difference", "incomplete", "inconclusive"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one combiner row has over its best single loss, within its group.

    key, best_single_key: the ids, told apart where one configuration has several submissions.
    outcome: "better", "worse" or "no significant difference" at the 5 % level, after Holm;
        "incomplete" where some of its losses are missing or left out, so the best may be
        another, or where it is better after more tuning; "inconclusive" with fewer than three
        common seeds, no single loss to compare with, or
        a combiner row that fails verification.
    best_single: name of the single loss against which the lead is smallest, of the `num_singles`
        that share three seeds or, where none does, the most; None if there is none.
    difference: combiner minus single of `metric` (a fraction), paired over the common seeds.
    p_adjusted: the p-value, of a negative lead times `num_singles`, after Holm's correction for the
        `num_comparisons` of the group.
    other, other_difference: the same of a second metric, without a conclusion about it.
    missing: the losses that were not run alone in this group, or on fewer common seeds.
    left_out: the rows that would be compared but fail verification: the combiner row
        itself, or single losses of which no other row does.
    tuned: whether the combiner row was tuned as a whole, so it compares with such rows alone.
    tuning_trials, single_tuning_trials: how many settings were tried in all for each of the two.
    code_differs: whether the shared loss's code is not the same in the two entries.
    """

    group: str
    entry_id: str
    key: str
    combiner: str
    outcome: Outcome
    metric: str
    best_single: str | None
    best_single_id: str | None
    best_single_key: str | None
    difference: PairedDifference
    p_adjusted: float | None
    num_singles: int
    num_comparisons: int
    other: str
    other_difference: PairedDifference
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    code_differs: bool
    tuning_trials: int
    single_tuning_trials: int
    tuned: bool
    sentence: str

    @property
    def separates(self) -> bool:
        """Whether the difference is significant after correction."""
        return self.p_adjusted is not None and self.p_adjusted < SIGNIFICANCE
