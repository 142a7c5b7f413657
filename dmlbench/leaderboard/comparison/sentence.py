"""The sentence of a verdict: its numbers, interval and p-value in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.statistics.formatting import listed, p_text, points

if TYPE_CHECKING:
    from dmlbench.leaderboard.comparison.outcome import Verdict
    from dmlbench.statistics.intervals import PairedDifference


def sentence(verdict: Verdict) -> str:
    """Say a verdict in words, in points (percent) of its metric."""
    if verdict.best_single is None:
        return _no_single(verdict)
    text = _comparison(verdict)
    if verdict.missing:
        text += (
            f" Missing: {listed(verdict.missing)} {_be(verdict.missing)} not {_run(verdict)} here, "
            f"or on fewer seeds, so the best single loss may be another."
        )
    if verdict.left_out:
        text += f" Left out: {_fail(verdict)}, so the best single loss may be another."
    if verdict.tuning_trials != verdict.single_tuning_trials:
        text += (
            f" Tuning differs: {verdict.tuning_trials} tuning trials for the combination, "
            f"{verdict.single_tuning_trials} for the single loss."
        )
    if verdict.code_differs:
        text += " The two ran with different versions of the code; run both again to be sure."
    return text


def brief(verdict: Verdict) -> str:
    """The difference alone, for a list of many."""
    difference = verdict.difference
    return (
        f"{verdict.combiner}: {points(difference.mean, signed=True)} ({_range(difference)}), "
        f"{p_text('p', verdict.p_adjusted)}, against {verdict.best_single}"
    )


def _no_single(verdict: Verdict) -> str:
    """Why there is nothing to compare with."""
    start = f"{verdict.combiner}: no verdict:"
    if verdict.left_out == (verdict.combiner,):
        return f"{start} this row fails verification."
    if not verdict.left_out:
        return (
            f"{start} none of its losses ({listed(verdict.missing)}) was {_run(verdict)} on the "
            f"same seeds, dataset, backbone, recipe and dimension."
        )
    text = f"{start} of its losses run alone, {_fail(verdict)}"
    if verdict.missing:
        text += f", and {listed(verdict.missing)} {_be(verdict.missing)} not run"
    return f"{text}."


def _run(verdict: Verdict) -> str:
    """What is asked of a single loss: the row of one that was not tuned is no rival of a tuned."""
    return "tuned and run alone" if verdict.tuned else "run alone"


def _fail(verdict: Verdict) -> str:
    verb = "fails" if len(verdict.left_out) == 1 else "fail"
    return f"{listed(verdict.left_out)} {verb} verification"


def _be(names: Sequence[str]) -> str:
    return "was" if len(names) == 1 else "were"


def _comparison(verdict: Verdict) -> str:
    single = f"its best single loss, {verdict.best_single}"
    if verdict.missing or verdict.left_out:
        single = f"the best of its losses run alone, {verdict.best_single}"
    metric = metric_title(verdict.metric)
    difference = verdict.difference
    if difference.p_value is None:
        return (
            f"{verdict.combiner}: {too_few(difference)} for a verdict. There it is "
            f"{points(abs(difference.mean))} points of {metric} "
            f"{'above' if difference.mean >= 0 else 'below'} {single}. Run both with more seeds, "
            f"such as `--seeds 5`."
        )
    size = f"{points(abs(difference.mean))} points of {metric}"
    if verdict.outcome == "worse":
        text = f"{verdict.combiner} is worse than {single}, by {size} ({_evidence(verdict)})"
    elif verdict.separates:
        more = verdict.tuning_trials > verdict.single_tuning_trials
        verb = "is, after more tuning, above" if more else "beats"
        text = f"{verdict.combiner} {verb} {single}, by {size} ({_evidence(verdict)})"
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


def too_few(difference: PairedDifference) -> str:
    """``one common seed (seed 0) is too few``, or ``two common seeds (seeds 0 and 1) are ...``."""
    if difference.num_splits > 1:
        return f"two common class splits ({difference.n} trials) are too few"
    names = listed([str(seed) for _, seed in difference.trials])
    if difference.n == 1:
        return f"one common seed (seed {names}) is too few"
    return f"two common seeds (seeds {names}) are too few"


def units_text(difference: PairedDifference) -> str:
    """``5 seeds``, or ``3 class splits (15 trials)``: what was paired."""
    if difference.num_splits > 1:
        return f"{difference.num_splits} class splits ({difference.n} trials)"
    return f"{difference.n} seeds"


def _evidence(verdict: Verdict) -> str:
    """The interval, the number of seeds, the p-value and its correction."""
    difference = verdict.difference
    includes = ", which includes 0" if difference.low <= 0 <= difference.high else ""
    text = f"95 % interval {_range(difference)}{includes}, paired over {units_text(difference)}, "
    text += p_text("p", difference.p_value)
    corrected = []
    if difference.mean < 0 and verdict.num_singles > 1:
        corrected.append(f"the choice among {verdict.num_singles} single losses")
    if verdict.num_comparisons > 1:
        corrected.append(f"{verdict.num_comparisons} comparisons")
    if corrected:
        text += f"; {p_text('p', verdict.p_adjusted)} corrected for {listed(corrected)}"
    return text


def _range(difference: PairedDifference) -> str:
    return f"{points(difference.low)} to {points(difference.high)}"
