"""Does a second training agree with an entry, and a second evaluation with a first?

Both are pure functions of numbers, so a record of them need not be believed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dmlbench.evaluate.metrics import METRICS
from dmlbench.leaderboard.entries.attestation import Attestation, AttestedTrial
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import (
    metric_title,
    metric_value,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Metrics, Trial, trial_title
from dmlbench.leaderboard.verification.metric_differences import (
    different_metrics,
    largest_difference,
    same_metrics,
)
from dmlbench.statistics.formatting import points
from dmlbench.statistics.intervals import Difference, Key, by_unit, welch_difference

# Below, an interval is so wide that it would agree with anything, and equal digits show little.
FEWEST_SEEDS = 3
COMPARED = ("map_at_r", "recall_at_1")
# Of an environment, what decides the digits of a training.
_DECIDING = ("deterministic", "device", "packages", "processor", "python", "threads")

AgreementVerdict = Literal["equal", "agrees", "disagrees", "inconclusive"]


@dataclass(frozen=True)
class Agreement:
    """What a reproduction shows.

    verdict: "equal" where every trial trained again gives the same metrics, digit for digit, or
        fails again; "agrees" where the difference is within the spread of the entry's own trials,
        or on fresh seeds where the 95 % intervals (Welch) include 0, for MAP@R and Recall@1;
        "disagrees" where it is not, where digits had to be equal and are not, where the data are
        others, where a trial failed that had not, or one completed that had failed under the same
        circumstances; "inconclusive" with too few trials to tell, or where a trial completed that
        had failed on another kind of machine.
    """

    verdict: AgreementVerdict
    sentence: str

    @property
    def reproduced(self) -> bool:
        return self.verdict in ("equal", "agrees")


def agreement(entry: Entry, attestation: Attestation) -> Agreement:
    """Compare an entry with the trials that somebody trained: its own again, or on fresh seeds."""
    if attestation.fingerprint not in (None, entry.dataset.fingerprint):
        return Agreement(
            "disagrees",
            f"the dataset there is another one: its fingerprint is "
            f"{attestation.fingerprint[:12]}, the entry's {entry.dataset.fingerprint[:12]}.",
        )
    if attestation.kind == "confirmed":
        return _on_fresh_trials(entry, attestation)
    first = {trial.key: trial for trial in entry.trials}
    keys = [trial.key for trial in attestation.trials]
    strangers = sorted(set(keys) - set(first))
    if strangers:
        return Agreement(
            "inconclusive", f"the entry has no {trial_title(*strangers[0])} to compare with."
        )
    same_machine = not different_circumstances(entry, attestation) and _on_cpu(attestation)
    failed_again = []
    for key, again in zip(keys, attestation.trials, strict=True):
        trial = first[key]
        if trial.metrics and again.metrics is None:
            return Agreement(
                "disagrees", f"{trial.title} failed there, and is completed in the entry."
            )
        if again.metrics is None:
            failed_again.append((trial, again))
        elif trial.metrics is None:
            return _completed_there(trial, same_machine)
    failures = _failed_again(failed_again)
    pairs = [
        (first[key].metrics, trial.metrics)
        for key, trial in zip(keys, attestation.trials, strict=True)
        if trial.metrics
    ]
    if not pairs:
        return Agreement("equal", failures)
    found = _of_completed(entry, pairs, same_machine)
    return Agreement(found.verdict, f"{found.sentence} {failures}".rstrip())


def _completed_there(trial: Trial, same_machine: bool) -> Agreement:
    """A failure that did not come again. Rounding alone can decide whether a loss becomes NaN."""
    what = f"{trial.title} completed there, and is failed in the entry"
    if same_machine:
        return Agreement("disagrees", f"{what}, with its code, packages, processor and threads.")
    return Agreement(
        "inconclusive",
        f"{what}; rounding, which differs between machines, can decide that. Train it again on the "
        f"entry's kind of machine.",
    )


def _failed_again(found: Sequence[tuple[Trial, AttestedTrial]]) -> str:
    """What is said of trials that failed in the entry and again."""
    if not found:
        return ""
    other = next((pair for pair in found if pair[0].reason != pair[1].reason), None)
    several = len(found) > 1
    which = f"{len(found)} failed trials" if several else f"The failed {found[0][0].title}"
    if other is None:
        return f"{which} failed again, for the same reason{'s' * several}."
    return (
        f"{which} failed again, {other[0].title} for another reason: "
        f"{plain(other[1].reason or '', 200)}."
    )


def _of_completed(
    entry: Entry, pairs: list[tuple[Metrics, Metrics]], same_machine: bool
) -> Agreement:
    """The trials that completed in the entry, beside the same ones trained again."""
    of = f"{len(pairs)} of {len(entry.completed)} completed trials"
    if len(entry.completed) == len(entry.trials):
        of = f"{len(pairs)} of {len(entry.trials)} trials"
    if all(not different_metrics(one, other, within=0.0) for one, other in pairs):
        return Agreement("equal", f"{of} trained again, every metric equal to the last digit.")
    metric, most = largest_difference(pairs)
    if same_machine:
        return Agreement(
            "disagrees",
            f"{of} trained again with the entry's code, packages, processor and threads, where "
            f"every digit should be equal; they differ by up to {points(most)} points of "
            f"{metric_title(metric)}.",
        )
    return _within_spread(entry, pairs, of)


def recomputed(entry: Entry, attestation: Attestation) -> bool:
    """Whether an attestation has equal metrics for every completed seed, from its embeddings.

    All that the entry has: without NMI, where the entry has it, it was not computed again.
    """
    if attestation.kind != "recomputed" or not entry.completed:
        return False
    found = {trial.key: trial for trial in attestation.trials}
    for trial in entry.completed:
        again = found.get(trial.key)
        if again is None or again.metrics is None or trial.embeddings is None:
            return False
        if again.embeddings_sha256 != trial.embeddings.sha256:
            return False
        if not covers(again.metrics, trial.metrics):
            return False
        if not same_metrics(trial.metrics, again.metrics):
            return False
    return True


def covers(again: Metrics, first: Metrics) -> bool:
    """Whether a second evaluation has every metric of the first."""
    return all(
        getattr(first, spec.name) is None or getattr(again, spec.name) is not None
        for spec in METRICS
    )


def different_circumstances(entry: Entry, attestation: Attestation) -> list[str]:
    """In what a second training was not like the first, of all that decides its digits."""
    from dmlbench.leaderboard.entries.code import entry_code

    first = {trial.key: trial.environment for trial in entry.trials}
    differing = {
        part
        for trial in attestation.trials
        for part in _DECIDING
        if first.get(trial.key, {}).get(part) != trial.environment.get(part)
    }
    code = ["code"] if entry_code(entry) != attestation.code_sha256 else []
    return code + sorted(differing)


def _on_cpu(attestation: Attestation) -> bool:
    return all(trial.environment.get("device") == "cpu" for trial in attestation.trials)


def _within_spread(entry: Entry, pairs: list[tuple[Metrics, Metrics]], of: str) -> Agreement:
    """Trials trained again elsewhere, judged by how much the entry's own trials differ.

    Rounding that differs by machine grows in training until a trial differs from its first training
    by as much as another seed would, and no further. So a mean difference over n trials is
    unlikely beyond t · s · √(2/n), s the standard deviation over the entry's trials.
    """
    metric, most = largest_difference(pairs)
    if len(entry.completed) < FEWEST_SEEDS:
        return Agreement(
            "inconclusive",
            f"{of} trained again, not equal (by up to {points(most)} points of "
            f"{metric_title(metric)}); to judge that, the entry needs {FEWEST_SEEDS} trials.",
        )
    parts, differs = [], False
    for name in COMPARED:
        values = [metric_value(trial.metrics, name) for trial in entry.completed]
        mean = statistics.fmean(metric_value(b, name) - metric_value(a, name) for a, b in pairs)
        allowed = difference_allowed(values, len(pairs))
        differs |= abs(mean) > allowed
        parts.append(
            f"{metric_title(name)} {points(mean, signed=True)} points, {points(allowed)} are "
            f"within the spread of the entry's trials"
        )
    if differs:
        return Agreement(
            "disagrees", f"{of} trained again, and the difference is too large: {'; '.join(parts)}."
        )
    return Agreement("agrees", f"{of} trained again, not digit for digit: {'; '.join(parts)}.")


def difference_allowed(values: Sequence[float], count: int) -> float:
    """How far the mean of `count` trials may be from its first training, at 5 % error or less.

    values: of the entry's trials, three or more.
    """
    from scipy.special import stdtrit

    t = float(stdtrit(len(values) - 1, 0.975))
    return t * statistics.stdev(values) * math.sqrt(2 / count)


def on_fresh_splits(attestation: Attestation) -> bool:
    """Whether a confirmation was trained on class splits that the author did not choose."""
    return any(trial.split for trial in attestation.trials)


def _on_fresh_trials(entry: Entry, attestation: Attestation) -> Agreement:
    """The entry's trials against those of other seeds and splits; failures are zeros.

    By Welch's interval: of trials on the dataset's own split, or of the means of class splits where
    the fresh ones are on other splits.
    """
    splits = sorted({trial.split for trial in attestation.trials})
    ours, theirs = list(entry.trials), list(attestation.trials)
    if on_fresh_splits(attestation):
        what, sizes = "class splits", [len(splits), len(entry.splits)]
        of = f"{len(theirs)} trials on {len(splits)} fresh class splits"
    else:
        what = "trials on the dataset's own class split"
        ours = [trial for trial in ours if trial.split == 0]
        sizes = [len(theirs), len(ours)]
        of = f"{len(theirs)} fresh seeds"
    if min(sizes) < FEWEST_SEEDS:
        return Agreement("inconclusive", f"intervals need {FEWEST_SEEDS} {what} on both sides.")
    if not entry.completed:
        return Agreement("inconclusive", "no trial of the entry is completed.")
    parts, differs = [], False
    for name in COMPARED:
        difference = welch_difference(*(by_unit(_values(side, name)) for side in (theirs, ours)))
        differs |= not difference.includes_zero
        parts.append(f"{metric_title(name)} {_in_words(difference)}")
    if differs:
        return Agreement("disagrees", f"{of}, and the difference shows: {'; '.join(parts)}.")
    return Agreement(
        "agrees",
        f"{of}, and no difference shows: {'; '.join(parts)}. A true difference as large as an end "
        f"of its interval would have been seen half of the time.",
    )


def _values(trials: Sequence[Trial | AttestedTrial], metric: str) -> dict[Key, float]:
    """By (split, seed), 0 where a trial failed."""
    found = {t.key: metric_value(t.metrics, metric) if t.metrics else 0.0 for t in trials}
    return {key: value for key, value in found.items() if value is not None}


def _in_words(difference: Difference) -> str:
    return (
        f"{points(difference.mean, signed=True)} points (95 % interval "
        f"{points(difference.low)} to {points(difference.high)}, Welch)"
    )
