"""Verdicts in words: does a combination of losses beat the best of the losses it combines?

The best single loss is picked on the same results it is then compared on. That flatters the single
loss, never the ensemble: the test is conservative for the conclusion that combining helps. It is
not for the conclusion that combining harms, whose p-value is therefore corrected for the number of
single losses (Bonferroni) before the correction for the comparisons of a group (Holm).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from dmlbench.leaderboard.comparison.groups import (
    grouped,
    tuned_as_a_row,
    tuning_trials,
    untuned_components,
)
from dmlbench.leaderboard.comparison.outcome import Outcome, Verdict
from dmlbench.leaderboard.comparison.sentence import sentence
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.labels import Labels, loss_names
from dmlbench.leaderboard.entries.metrics import (
    DEFAULT_METRIC,
    completed_values,
    metric_names,
    resolve_metric,
    values_by_trial,
)
from dmlbench.leaderboard.verification.tiers import Verification, verified_by_checks
from dmlbench.plan.identity import canonical_json, one_form
from dmlbench.statistics.intervals import (
    FEWEST_PAIRS,
    PairedDifference,
    holm,
    paired_difference,
)


def verdicts(
    entries: Iterable[Entry],
    by: str = DEFAULT_METRIC,
    verification: Callable[[Entry], Verification] = verified_by_checks,
) -> list[Verdict]:
    """One verdict for each combiner row, in the order of groups and best difference first.

    verification: as for `leaderboard_frame`; rows of tier "unverified" decide nothing, and are
        named.
    Raises `UsageError` for a metric that no entry has.
    """
    entries = list(entries)
    by = resolve_metric(by, metric_names(entries))
    labels = Labels(entries)
    found: list[Verdict] = []
    for group, members in grouped(entries).items():
        found += group_verdicts(group, members, by, verification, labels)
    return found


def group_verdicts(
    group: str,
    members: Sequence[Entry],
    by: str,
    verification: Callable[[Entry], Verification],
    labels: Labels,
) -> list[Verdict]:
    """The verdicts of one group, best difference first; arguments as for `verdicts`."""
    singles: dict[str, list[Entry]] = {}
    for single in members:
        if single.combiner is None:
            singles.setdefault(_identities(single)[0], []).append(single)
    names = Counter(labels.row(entry) for entry in members)

    def name(entry: Entry) -> str:
        row = labels.row(entry)
        return row if names[row] == 1 else f"{row} ({labels.key(entry)})"

    compared = [
        _compare(entry, singles, group, by, labels, verification, name)
        for entry in members
        if entry.combiner is not None
    ]
    compared.sort(key=lambda v: (v.difference.mean is None, -(v.difference.mean or 0.0)))
    return _decide(compared)


def _compare(
    entry: Entry,
    singles_of: Mapping[str, Sequence[Entry]],
    group: str,
    by: str,
    labels: Labels,
    verification: Callable[[Entry], Verification],
    name: Callable[[Entry], str],
) -> Verdict:
    """Compare a combiner row with the single rows of exactly its losses; nothing decided yet.

    singles_of: the single rows of the group by the identity of their loss. name: of a row.
    """
    wanted = dict(zip(_identities(entry), loss_names(entry), strict=True))
    singles = sorted(
        (single for identity in wanted for single in singles_of.get(identity, ())),
        key=lambda single: single.entry_id,
    )
    candidates: list[tuple[PairedDifference, Entry]] = []
    missing: tuple[str, ...] = ()
    left_out: tuple[str, ...] = (name(entry),)
    if verification(entry).tier != "unverified":
        sound = [single for single in singles if verification(single).tier != "unverified"]
        candidates = _candidates(entry, sound, by)
        present = {_identities(single)[0] for _, single in candidates}
        known = {_identities(single)[0] for single in sound}
        failing = [single for single in singles if _identities(single)[0] not in known]
        left_out = tuple(map(name, failing))
        accounted = present | {_identities(single)[0] for single in failing}
        missing = tuple(wanted[i] for i in wanted if i not in accounted)
    other = "recall_at_1" if by != "recall_at_1" else DEFAULT_METRIC
    best: Entry | None = None
    difference = other_difference = paired_difference({}, {})
    if candidates:
        # With the same seeds everywhere, the smallest lead is the lead over the best mean; with
        # seeds missing here and there it still compares like with like.
        difference, best = min(candidates, key=lambda pair: (pair[0].mean, pair[1].entry_id))
        other_difference = paired_difference(
            values_by_trial(entry, other), completed_values(best, other)
        )
    return Verdict(
        group=group,
        entry_id=entry.entry_id,
        key=labels.key(entry),
        combiner=name(entry),
        outcome="inconclusive",
        metric=by,
        best_single=name(best) if best else None,
        best_single_id=best.entry_id if best else None,
        best_single_key=labels.key(best) if best else None,
        difference=difference,
        p_adjusted=None,
        num_singles=len(candidates),
        num_comparisons=0,
        other=other,
        other_difference=other_difference,
        missing=missing,
        left_out=left_out,
        code_differs=best is not None and not _same_code(entry, best),
        tuning_trials=tuning_trials(entry),
        single_tuning_trials=tuning_trials(best) if best else 0,
        tuned=tuned_as_a_row(entry),
        sentence="",
    )


def _candidates(
    entry: Entry, singles: Sequence[Entry], by: str
) -> list[tuple[PairedDifference, Entry]]:
    """The single rows that may be the best: those that can be tested, or that come closest to it.

    A row on a seed or two is no measure of its loss, and must not take the place of one on five.
    A failed trial counts as 0 against the combination, and not at all against a single loss: that
    a loss fails is no reason to say that combining helps.
    """
    values = values_by_trial(entry, by)
    compared = [(paired_difference(values, completed_values(s, by)), s) for s in singles]
    most = max((difference.num_units for difference, _ in compared), default=0)
    return [p for p in compared if p[0].n and p[0].num_units >= min(most, FEWEST_PAIRS)]


def _decide(compared: Sequence[Verdict]) -> list[Verdict]:
    """Give the outcome and the sentence, correcting p-values for the comparisons of the group."""
    adjusted = holm([_p_value(verdict) for verdict in compared])
    count = sum(p is not None for p in adjusted)
    decided = []
    for verdict, p in zip(compared, adjusted, strict=True):
        verdict = replace(verdict, p_adjusted=p, num_comparisons=count)
        verdict = replace(verdict, outcome=_outcome(verdict))
        decided.append(replace(verdict, sentence=sentence(verdict)))
    return decided


def _p_value(verdict: Verdict) -> float | None:
    """Of the lead over the best single loss, with the choice of that loss accounted for."""
    difference = verdict.difference
    if difference.p_value is None or difference.mean >= 0:
        return difference.p_value
    return min(1.0, verdict.num_singles * difference.p_value)


def _outcome(verdict: Verdict) -> Outcome:
    if verdict.p_adjusted is None:
        return "inconclusive"
    if verdict.separates and verdict.difference.mean < 0:
        # Worse than one of its losses is worse than the best of them, whichever is missing.
        return "worse"
    if verdict.missing or verdict.left_out:
        return "incomplete"
    if verdict.tuning_trials > verdict.single_tuning_trials:
        # More tuning alone can make a row better.
        return "incomplete" if verdict.separates else "no significant difference"
    return "better" if verdict.separates else "no significant difference"


def _identities(entry: Entry) -> list[str]:
    """What tells each loss of an entry from others, in their order.

    Of a row that was tuned as a whole, a loss has the parameters that are best in that row: it is
    the same loss as that of another tuned row if they agree in what was not searched.
    """
    if not tuned_as_a_row(entry):
        return [canonical_json(loss) for loss in entry.identity_json()["losses"]]
    return [
        canonical_json([loss.distribution, loss.name, one_form(loss.params), "tuned"])
        for loss in untuned_components(entry)[0]
    ]


def _same_code(entry: Entry, single: Entry) -> bool:
    loss = single.losses[0]
    (alone,) = _identities(single)
    pairs = zip(_identities(entry), entry.losses, strict=True)
    used = [record for identity, record in pairs if identity == alone]
    same_loss = all(x.source_sha256 == loss.source_sha256 for x in used)
    return same_loss and entry.code_of_dmlbench == single.code_of_dmlbench
