"""The sentence of a verdict: numbers, interval and p-value in words that claim no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmlbench.leaderboard.metrics import metric_title
from dmlbench.leaderboard.words import listed, p_text, points

if TYPE_CHECKING:
    from dmlbench.leaderboard.statistics import PairedDifference
    from dmlbench.leaderboard.verdict import Verdict


def sentence(verdict: Verdict) -> str:
    """Say a verdict in words, in points (percent) of its metric."""
    text = _comparison(verdict)
    if verdict.missing and verdict.best_single is not None:
        names = listed(verdict.missing)
        text += (
            f" Missing: {names} {'was' if len(verdict.missing) == 1 else 'were'} not run alone "
            f"here, so the best single loss may be another."
        )
    if verdict.code_differs:
        text += " The two ran with different versions of the code; run both again to be sure."
    return text


def _comparison(verdict: Verdict) -> str:
    if verdict.best_single is None:
        return (
            f"{verdict.combiner}: no verdict, for none of its losses ({listed(verdict.missing)}) "
            f"was run alone on the same seeds, dataset, backbone, recipe and width."
        )
    single = f"its best single loss, {verdict.best_single}"
    if verdict.missing:
        single = f"the best of its losses run alone, {verdict.best_single}"
    metric = metric_title(verdict.metric)
    difference = verdict.difference
    if difference.p_value is None:
        place = "above" if difference.mean >= 0 else "below"
        return (
            f"{verdict.combiner}: no verdict from one common seed (seed {difference.seeds[0]}), "
            f"on which it lies {points(abs(difference.mean))} points of {metric} {place} {single}. "
            f"Run both with more seeds, such as `--seeds 5`."
        )
    size = f"{points(abs(difference.mean))} points of {metric}"
    if verdict.outcome == "worse":
        text = f"{verdict.combiner} is worse than {single}, by {size} ({_evidence(verdict)})"
    elif verdict.separates:
        text = f"{verdict.combiner} beats {single}, by {size} ({_evidence(verdict)})"
    else:
        signed = f"{points(difference.mean, signed=True)} points of {metric}"
        text = (
            f"{verdict.combiner} does not beat {single}: the difference is {signed} "
            f"({_evidence(verdict)})"
        )
    other = verdict.other_difference
    if other.mean is not None:
        text += f"; {metric_title(verdict.other)} {points(other.mean, signed=True)} points"
        if other.low is not None:
            text += f" ({_range(other)})"
    text += "."
    if difference.low == difference.high:
        text += " Every seed gave the same difference: check that seeds change anything here."
    return text


def _evidence(verdict: Verdict) -> str:
    """The interval, the number of seeds, the p-value and its correction."""
    difference = verdict.difference
    includes = ", which includes 0" if difference.low <= 0 <= difference.high else ""
    text = f"95 % interval {_range(difference)}{includes}, paired over {difference.n} seeds, "
    text += p_text("p", difference.p_value)
    if verdict.num_comparisons > 1:
        text += (
            f"; {p_text('p', verdict.p_adjusted)} corrected for "
            f"{verdict.num_comparisons} comparisons"
        )
    return text


def _range(difference: PairedDifference) -> str:
    return f"{points(difference.low)} to {points(difference.high)}"
