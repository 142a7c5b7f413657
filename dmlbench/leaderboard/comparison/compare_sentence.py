"""A comparison of two entries in words: an opening for each conclusion, then what must be known.

Templates and clauses are data, so each text is written once, in the order in which it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dmlbench.leaderboard.comparison.comparison import Comparison
from dmlbench.leaderboard.comparison.outcome import SIGNIFICANCE
from dmlbench.leaderboard.comparison.sentence import too_few, units_text
from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.statistics.formatting import listed, p_text, points
from dmlbench.statistics.intervals import Difference

# When a clause is said, and what it says.
Clause = tuple[Callable[[Comparison], bool], Callable[[Comparison], str]]

_SEPARATED = "{first} is {conclusion} than {other} by {size} (95 % intervals: {evidence})"
_OPENINGS = {
    "better": _SEPARATED,
    "worse": _SEPARATED,
    "no significant difference": (
        "No significant difference between {first} and {other}: {signed} (95 % intervals: "
        "{evidence})"
    ),
    "inconclusive": (
        "{few} for a conclusion: {first} is {size} {side} {other} there. Run both with more "
        "{units}."
    ),
}
_NOTHING_IN_COMMON = "{first} and {other} have no trial in common: no conclusion."
_FAILING = (
    "No conclusion: {failing} {fail} verification. `dmlbench leaderboard verify` says what is "
    "wrong."
)
# Joined to the interval over trials.
_EVIDENCE: tuple[Clause, ...] = (
    (
        lambda c: c.num_comparisons > 1,
        lambda c: f", {p_text('p', c.p_adjusted)} corrected for {c.num_comparisons} comparisons",
    ),
    (
        lambda c: c.queries is not None,
        lambda c: f"; over {c.num_queries} queries {_range(c.queries)}",
    ),
    (
        lambda c: c.classes is not None,
        lambda c: (
            f"; over test classes{' and splits' * (c.seeds.num_splits > 1)} {_range(c.classes)}"
        ),
    ),
)
# Joined to the opening, in its sentence and after it.
_CLAUSES: tuple[Clause, ...] = (
    (
        lambda c: c.conclusion == "no significant difference" and c.p_adjusted < SIGNIFICANCE,
        lambda c: (
            f"; the {'splits' if c.seeds.num_splits > 1 else 'seeds'} agree, but it may not hold "
            f"on other test classes"
        ),
    ),
    (
        lambda c: c.no_queries is not None,
        lambda c: f"; not compared over queries, because {plain(c.no_queries, 300)}",
    ),
    (lambda c: True, lambda c: "."),
    (lambda c: c.splits_differ, lambda c: f" Only {_common(c)}, which both have, is compared."),
    (lambda c: c.first_tier == c.other_tier, lambda c: f" Both are {c.first_tier}."),
    (
        lambda c: c.first_tier != c.other_tier,
        lambda c: f" The first is {c.first_tier}, the other {c.other_tier}.",
    ),
    (
        lambda c: c.first_tuning_trials != c.other_tuning_trials,
        lambda c: (
            f" Tuning differs: the first {_tuned(c.first_tuning_trials)}; the other "
            f"{_tuned(c.other_tuning_trials)}."
        ),
    ),
    (
        lambda c: c.code_differs,
        lambda c: " The two ran with different versions of the code; run both again to be sure.",
    ),
)


def failing(comparison: Comparison) -> list[str]:
    """Which of the two fail verification."""
    rows = (comparison.first, comparison.first_tier), (comparison.other, comparison.other_tier)
    return [row for row, tier in rows if tier == "unverified"]


def compare_sentence(c: Comparison) -> str:
    """What a comparison shows, with its evidence, and what a reader has to know to trust it."""
    values = {"first": c.first, "other": c.other, "conclusion": c.conclusion}
    if rows := failing(c):
        fail = "fails" if len(rows) == 1 else "fail"
        return _FAILING.format(failing=listed(rows), fail=fail)
    mean = c.seeds.mean
    if mean is None:
        return _NOTHING_IN_COMMON.format(**values)
    unit = f"points of {metric_title(c.metric)}"
    values |= {
        "size": f"{points(abs(mean))} {unit}",
        "signed": f"{points(mean, signed=True)} {unit}",
    }
    if c.conclusion == "inconclusive":
        values |= {"few": too_few(c.seeds).capitalize(), "side": "above" if mean >= 0 else "below"}
        values |= {"units": "class splits" if c.seeds.num_splits > 1 else "seeds"}
        return _OPENINGS["inconclusive"].format(**values)
    over_trials = f"over {units_text(c.seeds)} {_range(c.seeds)}, {p_text('p', c.seeds.p_value)}"
    values["evidence"] = over_trials + _filled(_EVIDENCE, c)
    return _OPENINGS[c.conclusion].format(**values) + _filled(_CLAUSES, c)


def _common(c: Comparison) -> str:
    splits = sorted({split for split, _ in c.seeds.trials})
    return f"class split {listed(list(map(str, splits)))}"


def _filled(clauses: Sequence[Clause], c: Comparison) -> str:
    return "".join(words(c) for applies, words in clauses if applies(c))


def _tuned(counts: Sequence[int]) -> str:
    if not counts:
        return "was not tuned"
    return f"used {listed(list(map(str, counts)))} tuning trials"


def _range(difference: Difference) -> str:
    return f"{points(difference.low)} to {points(difference.high)}"
