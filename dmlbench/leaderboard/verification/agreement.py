"""Does a second training agree with an entry, and a second evaluation with a first?

Both are pure functions of numbers, so that a record of them need not be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dmlbench.leaderboard.entries.attestation import Attestation
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import (
    metric_title,
    metric_value,
)
from dmlbench.leaderboard.verification.metric_differences import (
    different_metrics,
    largest_difference,
)
from dmlbench.statistics.formatting import points
from dmlbench.statistics.intervals import Difference, welch_difference

# Below, an interval is so wide that it would agree with anything, and equal digits show little.
FEWEST_SEEDS = 3
COMPARED = ("map_at_r", "recall_at_1")
# Of an environment, what decides the digits of a training.
_DECIDING = ("device", "packages", "processor", "python", "threads")

AgreementVerdict = Literal["equal", "agrees", "disagrees", "undecided"]


@dataclass(frozen=True)
class Agreement:
    """What a reproduction shows.

    verdict: "equal" where every seed trained again gives the same metrics, digit for digit;
        "agrees" where the 95 % intervals of the differences (Welch) include 0 for MAP@R and
        Recall@1; "disagrees" where one does not, where digits had to be equal and are not, where
        the data are others, or a seed failed that had not; "undecided" with fewer than three seeds
        on a side.
    """

    verdict: AgreementVerdict
    sentence: str

    @property
    def reproduced(self) -> bool:
        return self.verdict in ("equal", "agrees")


def agreement(entry: Entry, attestation: Attestation) -> Agreement:
    """Compare an entry with the trials that somebody trained again."""
    if attestation.fingerprint not in (None, entry.dataset.fingerprint):
        return Agreement(
            "disagrees",
            f"the dataset there is another one: its fingerprint is "
            f"{attestation.fingerprint[:12]}, the entry's {entry.dataset.fingerprint[:12]}.",
        )
    first = {trial.seed: trial for trial in entry.trials}
    seeds = [trial.seed for trial in attestation.trials]
    strangers = sorted(set(seeds) - set(first))
    if strangers:
        return Agreement("undecided", f"the entry has no seed {strangers[0]} to compare with.")
    for again in attestation.trials:
        status = "completed" if again.metrics else "failed"
        if status != first[again.seed].status:
            return Agreement(
                "disagrees",
                f"seed {again.seed} {status} there, and is {first[again.seed].status} in the "
                f"entry.",
            )
    pairs = [(first[t.seed].metrics, t.metrics) for t in attestation.trials if t.metrics]
    if not pairs:
        return Agreement("undecided", "no seed that was trained again is completed.")
    of = f"{len(pairs)} of {len(entry.completed)} seeds"
    if all(not different_metrics(one, other, within=0.0) for one, other in pairs):
        return Agreement("equal", f"{of} trained again, every metric equal to the last digit.")
    metric, most = largest_difference(pairs)
    if not different_circumstances(entry, attestation) and _on_cpu(attestation):
        return Agreement(
            "disagrees",
            f"{of} trained again with the entry's code, packages, processor and threads, where "
            f"every digit should be equal; they differ by up to {points(most)} points of "
            f"{metric_title(metric)}.",
        )
    return _by_intervals(entry, attestation, of)


def reproduced_together(
    entry: Entry, found: Sequence[tuple[Attestation, Agreement]]
) -> tuple[bool, str | None]:
    """Whether all reproductions on file make a row reproduced, and if not, how far they go.

    They do where none disagrees and those that hold cover `FEWEST_SEEDS` seeds, or all completed
    ones: one seed of many says that the code runs, and little of the row's mean.
    """
    if any(outcome.verdict == "disagrees" for _, outcome in found):
        return False, None
    completed = {trial.seed for trial in entry.completed}
    again = {
        trial.seed
        for attestation, outcome in found
        for trial in attestation.trials
        if outcome.reproduced and trial.seed in completed
    }
    needed = min(FEWEST_SEEDS, len(completed))
    if not again or len(again) >= needed:
        return bool(again), None
    of = f"{len(again)} of {len(completed)} seeds reproduced"
    return False, f"{of}; {needed} make the row reproduced"


def different_circumstances(entry: Entry, attestation: Attestation) -> list[str]:
    """In what a second training was not like the first, of all that decides its digits."""
    from dmlbench.leaderboard.entries.code import entry_code

    first = {trial.seed: trial.environment for trial in entry.trials}
    differing = {
        part
        for trial in attestation.trials
        for part in _DECIDING
        if first.get(trial.seed, {}).get(part) != trial.environment.get(part)
    }
    code = ["code"] if entry_code(entry) != attestation.code_sha256 else []
    return code + sorted(differing)


def _on_cpu(attestation: Attestation) -> bool:
    return all(trial.environment.get("device") == "cpu" for trial in attestation.trials)


def _by_intervals(entry: Entry, attestation: Attestation, of: str) -> Agreement:
    again = [trial.metrics for trial in attestation.trials if trial.metrics]
    most = largest_difference(
        [(t.metrics, a.metrics) for t in entry.completed for a in attestation.trials
         if a.seed == t.seed and a.metrics]
    )  # fmt: skip
    if len(again) < FEWEST_SEEDS or len(entry.completed) < FEWEST_SEEDS:
        return Agreement(
            "undecided",
            f"{of} trained again, not equal (by up to {points(most[1])} points of "
            f"{metric_title(most[0])}); intervals need {FEWEST_SEEDS} seeds or more on both sides.",
        )
    parts, differs = [], False
    for metric in COMPARED:
        theirs = [metric_value(metrics, metric) for metrics in again]
        ours = [metric_value(trial.metrics, metric) for trial in entry.completed]
        difference = welch_difference(theirs, ours)
        differs |= not difference.includes_zero
        parts.append(f"{metric_title(metric)} {_in_words(difference)}")
    if differs:
        return Agreement(
            "disagrees", f"{of} trained again, and the difference shows: {'; '.join(parts)}."
        )
    return Agreement(
        "agrees",
        f"{of} trained again, not digit for digit, and no difference shows: {'; '.join(parts)}. "
        f"Differences beyond these intervals would have been seen.",
    )


def _in_words(difference: Difference) -> str:
    return (
        f"{points(difference.mean, signed=True)} points (95 % interval "
        f"{points(difference.low)} to {points(difference.high)}, Welch)"
    )
