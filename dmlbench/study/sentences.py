"""The answers of a study in words."""

from __future__ import annotations

from collections.abc import Mapping

from dmlbench.leaderboard.entries.metrics import metric_title
from dmlbench.statistics.formatting import listed, p_text
from dmlbench.statistics.formatting import points as in_points
from dmlbench.statistics.intervals import Interval
from dmlbench.study.analysis import Answered, Decomposed
from dmlbench.study.design import Study


def answer_sentence(study: Study, one: Answered) -> str:
    """What a contrast says on a dataset, with its interval and p-value."""
    design = study.contrasts[one.name]
    of, over = _best(design.of), _best(design.over)
    if one.answer == "incomplete":
        return f"{one.dataset}: not answered yet: {_why(study, one)}."
    found = one.contrast
    title = metric_title(study.metric)
    size = f"{in_points(abs(found.mean))} points of {title}"
    smallest = f"{study.smallest:.1f} points"
    difference = points(Interval(found.mean, found.low, found.high))
    numbers = (
        f"difference {difference} over {_units(study, one)}, {p_text('p', one.p)}{_corrected(one)}"
    )
    if one.answer == "better":
        relevance = {
            True: f", at least the {smallest} that matter",
            False: f", less than the {smallest} that matter",
            None: f"; whether it is the {smallest} that matter is not shown",
        }[one.relevant]
        text = f"{of} is better than {over} by {size}{relevance} ({numbers})"
    elif one.answer == "worse":
        text = f"{of} is worse than {over} by {size} ({numbers})"
    elif one.answer == "no relevant lead":
        text = f"{of} does not lead {over} by {smallest} or more ({numbers})"
    else:
        text = (
            f"inconclusive: whether {of} is better than {over} is not shown, and leads up to "
            f"{in_points(max(0.0, found.high))} points are not excluded ({numbers})"
        )
    return f"{one.dataset}: {text}.{_failures(one.failed, design.of)}"


def decomposition_lines(study: Study, one: Decomposed) -> list[tuple[str, str]]:
    """(What, points) of every step of a decomposition and of the whole."""
    levels = study.decompositions[one.name].levels
    lines = [
        (f"{after.what} (over {before.what})", points(step))
        for before, after, step in zip(levels, levels[1:], one.steps or [], strict=False)
    ]
    if one.whole is not None:
        lines.append((f"all of {levels[-1].what} over {levels[0].what}", points(one.whole)))
    return lines


def points(interval: Interval) -> str:
    """``+1.2 (-0.3 to 2.7)``: a difference of fractions in points, with its interval."""
    mean = in_points(interval.mean, signed=True)
    if interval.low is None or interval.high is None:
        return mean
    return f"{mean} ({in_points(interval.low)} to {in_points(interval.high)})"


def _best(rows: list[str]) -> str:
    return rows[0] if len(rows) == 1 else f"the best of {listed(rows)}"


def _units(study: Study, one: Answered) -> str:
    found = one.contrast
    if study.datasets[one.dataset].replicates:
        return f"{found.units} replicates, {found.trials} trials"
    if study.units(one.dataset) == 1:
        return f"{found.trials} trials"
    return f"{found.units} class splits, {found.trials} trials"


def _corrected(one: Answered) -> str:
    return f" corrected for {one.comparisons} comparisons" if one.comparisons > 1 else ""


def _why(study: Study, one: Answered) -> str:
    by_count: dict[int, list[str]] = {}
    for name, count in one.missing.items():
        by_count.setdefault(count, []).append(name)
    if by_count:
        planned = len(study.keys(one.dataset))
        return listed(
            [
                f"{listed(names)} lack{'s' * (len(names) == 1)} {count} of {planned} trials"
                for count, names in by_count.items()
            ]
        )
    return "fewer than three replicates, class splits or trials are common to its rows"


def _failures(failed: Mapping[str, int], of: list[str]) -> str:
    texts = []
    for name, count in failed.items():
        trials = f"{count} trial{'s' * (count != 1)} of {name} failed"
        how = "as 0" if name in of else "not at all"
        counts = f"count{'s' * (count == 1)} {how} in the difference"
        texts.append(f" {trials} and {counts}.")
    return "".join(texts)
