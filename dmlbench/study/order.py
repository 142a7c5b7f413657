"""Whether losses keep their order: between datasets, class splits and training budgets.

Kendall's tau-b (Biometrika 1945) between the orders of rows by their mean: 1 for the same order,
0 for none in common, -1 for the opposite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.study.analysis import Trials

#: Shares of a training after which the rows' validation scores are looked at.
SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Agreement:
    """How well two or more orders of the same rows agree.

    tau: Kendall's tau-b, the mean over pairs of orders; None where it is not defined.
    """

    what: str
    rows: int
    pairs: int
    tau: float | None


def orders(
    rows: Sequence[str],
    values: Mapping[str, Mapping[str, Trials]],
    entries: Mapping[str, Mapping[str, Sequence[Entry]]],
) -> list[Agreement]:
    """Compare the order of `rows` between datasets, between class splits, and between budgets.

    values, entries: by dataset and row. Rows that a dataset lacks are left out there.
    """
    found = []
    means = {
        dataset: {row: _mean(trials.values()) for row, trials in of.items() if row in rows}
        for dataset, of in values.items()
    }
    for one, other in combinations(means, 2):
        found.append(_agreement(f"{one} and {other}", [means[one], means[other]]))
    for dataset, of in values.items():
        present = {row: of[row] for row in rows if row in of}
        splits = sorted({split for trials in present.values() for split, _ in trials})
        per_split = [
            {
                row: _mean(v for (at, _), v in trials.items() if at == split)
                for row, trials in present.items()
            }
            for split in splits
        ]
        if len(per_split) > 1:
            found.append(_agreement(f"units of {dataset}", per_split))
        courses = {
            row: course
            for row, found_entries in entries.get(dataset, {}).items()
            if row in rows and (course := training_course(found_entries)) is not None
        }
        for index, share in enumerate(SHARES[:-1]):
            pair = [{row: c[index] for row, c in courses.items()}, _last(courses)]
            found.append(
                _agreement(f"{share:.0%} and all of the epochs on {dataset}, validation", pair)
            )
    return [one for one in found if one.rows >= 3]


def training_course(entries: Sequence[Entry]) -> list[float] | None:
    """Mean validation MAP@R after each of `SHARES` of the epochs: the best so far, as selected."""
    courses = []
    for trial in (trial for entry in entries for trial in entry.completed):
        scored = [(r.epoch, r.validation_map_at_r) for r in trial.history]
        last = scored[-1][0] if scored else 0
        course = []
        for share in SHARES:
            seen = [v for epoch, v in scored if v is not None and epoch <= share * last]
            if not seen:
                return None
            course.append(max(seen))
        courses.append(course)
    return np.mean(courses, axis=0).tolist() if courses else None


def tuning_budgets(budget: int) -> list[int]:
    """The numbers of tuning trials after which scores are looked at: powers of two up to `budget`.

    >>> tuning_budgets(16)
    [1, 2, 4, 8, 16]
    """
    return [2**power for power in range(budget.bit_length())]


def tuning_course(entries: Sequence[Entry], budgets: Sequence[int]) -> list[float] | None:
    """The best validation MAP@R after so many tuning trials, in the order they were made.

    The mean over entries. None where one has no record, or no score within the first budget.
    """
    courses = []
    for entry in entries:
        scores = [
            trial.validation_map_at_r for record in entry.tuning[:1] for trial in record.trials
        ]
        seen = [[score for score in scores[:budget] if score is not None] for budget in budgets]
        if not all(seen):
            return None
        courses.append([max(of_budget) for of_budget in seen])
    return np.mean(courses, axis=0).tolist() if courses else None


def _last(courses: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {row: course[-1] for row, course in courses.items()}


def _mean(values) -> float:
    listed = [0.0 if value is None else value for value in values]
    return float(np.mean(listed)) if listed else np.nan


def _agreement(what: str, orders: Sequence[Mapping[str, float]]) -> Agreement:
    common = [row for row in orders[0] if all(np.isfinite(o.get(row, np.nan)) for o in orders)]
    if len(common) < 2:
        return Agreement(what, len(common), 0, None)
    from scipy.stats import kendalltau

    pairs = list(combinations(orders, 2))
    taus = [
        kendalltau([a[row] for row in common], [b[row] for row in common]).statistic
        for a, b in pairs
    ]
    defined = [tau for tau in taus if np.isfinite(tau)]
    return Agreement(what, len(common), len(pairs), float(np.mean(defined)) if defined else None)
