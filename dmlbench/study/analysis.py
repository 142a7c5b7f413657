"""From the rows' values to answers: a pure function of a design and of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from dmlbench.statistics.contrasts import Contrast, Row, contrast, decomposition, unit_values
from dmlbench.statistics.intervals import FEWEST_PAIRS, Interval, Key, holm
from dmlbench.study.design import Study

#: (split, seed) -> value of the metric, a fraction; None for a trial that failed.
Trials = Mapping[Key, float | None]
#: dataset -> row -> its trials.
Values = Mapping[str, Mapping[str, Trials]]

Answer = Literal["greater", "smaller", "no relevant lead", "open", "incomplete"]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a contrast gives on one dataset.

    contrast: None where nothing is common to its rows. p: corrected after Holm, of the direction in
        which the difference points; None where nothing can be tested.
    comparisons: how many tests the correction is for.
    missing: rows that lack trials of the design, with how many they lack.
    failed: rows with trials that failed, with how many.
    """

    name: str
    dataset: str
    primary: bool
    contrast: Contrast | None
    p: float | None
    comparisons: int
    answer: Answer
    missing: Mapping[str, int]
    failed: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Decomposed:
    """What each level of a decomposition adds on one dataset, and the whole; None if incomplete."""

    name: str
    dataset: str
    steps: Sequence[Interval] | None
    whole: Interval | None
    units: int
    missing: Mapping[str, int]
    failed: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that a study concludes."""

    answers: Sequence[Answered]
    decompositions: Sequence[Decomposed]


def analyse(study: Study, values: Values) -> Findings:
    """Answer every contrast on every dataset, primary ones corrected apart from the others.

    values: of the trials that there are; those that the design does not name are left out.
    """
    planned = set(study.keys)
    kept = {
        dataset: {
            row: {key: v for key, v in trials.items() if key in planned}
            for row, trials in rows.items()
        }
        for dataset, rows in values.items()
    }
    answers: list[Answered] = []
    for primary in (True, False):
        family = [
            _compared(study, kept.get(dataset, {}), name, dataset)
            for name, design in study.contrasts.items()
            if design.primary is primary
            for dataset in study.datasets
            if set(design.of) | set(design.over) <= set(study.rows_of(dataset))
        ]
        answers += _decided(study, family)
    decompositions = [
        _decomposed(study, kept.get(dataset, {}), name, dataset)
        for name, design in study.decompositions.items()
        for dataset in study.datasets
        if {row for level in design.levels for row in level.rows} <= set(study.rows_of(dataset))
    ]
    return Findings(answers=answers, decompositions=decompositions)


def missing_trials(
    study: Study, rows: Mapping[str, Trials], names: Sequence[str]
) -> dict[str, int]:
    """How many trials of the design each of these rows lacks, of those that lack any."""
    planned = set(study.keys)
    found = {name: len(planned - set(rows.get(name, {}))) for name in names}
    return {name: count for name, count in found.items() if count}


def _failed(rows: Mapping[str, Trials], names: Sequence[str]) -> dict[str, int]:
    found = {name: sum(v is None for v in rows.get(name, {}).values()) for name in names}
    return {name: count for name, count in found.items() if count}


def _against(trials: Trials) -> Row:
    """The values of a row that a lead is tested for: a failed trial is 0."""
    return {key: 0.0 if value is None else value for key, value in trials.items()}


def _for(trials: Trials) -> Row:
    """The values of a row to be beaten: that it fails is no evidence for another, so left out."""
    return {key: value for key, value in trials.items() if value is not None}


def _compared(study: Study, rows: Mapping[str, Trials], name: str, dataset: str) -> Answered:
    design = study.contrasts[name]
    names = [*design.of, *design.over]
    missing = missing_trials(study, rows, names)
    ours = [_against(rows.get(row, {})) for row in design.of]
    theirs = [_for(rows.get(row, {})) for row in design.over]
    common = set.intersection(*(set(row) for row in [*ours, *theirs]))
    found = contrast(ours, theirs) if common else None
    return Answered(
        name=name,
        dataset=dataset,
        primary=design.primary,
        contrast=found,
        p=None if found is None or missing else _p(found),
        comparisons=0,
        answer="incomplete",
        missing=missing,
        failed=_failed(rows, names),
    )


def _p(found: Contrast) -> float | None:
    return found.p_greater if (found.mean or 0.0) >= 0 else found.p_smaller


def _decided(study: Study, family: Sequence[Answered]) -> list[Answered]:
    """With corrected p-values and answers.

    The correction is for all contrasts of the design, whether their trials are there yet or not.
    """
    corrected = holm([1.0 if one.p is None else one.p for one in family])
    decided = []
    for one, p in zip(family, corrected, strict=True):
        tested = replace(one, p=None if one.p is None else p, comparisons=len(family))
        decided.append(replace(tested, answer=_answer(study, tested)))
    return decided


def _answer(study: Study, one: Answered) -> Answer:
    found = one.contrast
    if found is None or one.p is None:
        return "incomplete"
    if one.p < study.level:
        return "greater" if found.mean > 0 else "smaller"
    if found.high < study.smallest / 100:
        return "no relevant lead"
    return "open"


def _decomposed(study: Study, rows: Mapping[str, Trials], name: str, dataset: str) -> Decomposed:
    levels = study.decompositions[name].levels
    names = [row for level in levels for row in level.rows]
    missing = missing_trials(study, rows, names)
    steps = whole = None
    units = 0
    if not missing:
        chosen = [[_for(rows[row]) for row in level.rows] for level in levels]
        chosen[-1] = [_against(rows[row]) for row in levels[-1].rows]
        flat = [row for level in chosen for row in level]
        if set.intersection(*(set(row) for row in flat)):
            units = unit_values(flat)[0].shape[1]
        if units >= FEWEST_PAIRS:
            *steps, whole = decomposition(chosen)
    return Decomposed(
        name=name,
        dataset=dataset,
        steps=steps,
        whole=whole,
        units=units,
        missing=missing,
        failed=_failed(rows, names),
    )
