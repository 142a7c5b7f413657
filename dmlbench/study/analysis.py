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

Answer = Literal["better", "worse", "no relevant lead", "inconclusive", "incomplete"]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a contrast gives on one dataset.

    contrast: None where nothing is common to its rows. p: corrected after Holm, of the direction in
        which the difference points; None where nothing can be tested.
    comparisons: how many tests the correction is for.
    relevant: of "better": whether its lead is shown to be the smallest that matters or more; False
        where it is shown to be less; None where neither.
    answer: one that holds whether a failed trial counts as 0 or not at all, else "inconclusive".
    missing: rows that lack trials of the design, with how many they lack.
    failed: rows with trials that failed, with how many.
    """

    name: str
    dataset: str
    primary: bool
    contrast: Contrast | None
    p: float | None
    comparisons: int
    relevant: bool | None
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
    kept = {
        dataset: {
            row: {key: v for key, v in trials.items() if key in planned}
            for row, trials in values.get(dataset, {}).items()
        }
        for dataset in study.datasets
        for planned in [set(study.keys(dataset))]
    }
    answers: list[Answered] = []
    for primary in (True, False):
        family = [
            _compared(study, kept[dataset], name, dataset)
            for name, design in study.contrasts.items()
            if design.primary is primary
            for dataset in study.places_of(design)
        ]
        answers += _decided(study, family, kept)
    decompositions = [
        _decomposed(study, kept[dataset], name, dataset)
        for name, design in study.decompositions.items()
        for dataset in study.places_of(design)
    ]
    return Findings(answers=answers, decompositions=decompositions)


def missing_trials(
    study: Study, dataset: str, rows: Mapping[str, Trials], names: Sequence[str]
) -> dict[str, int]:
    """How many trials of the design each of these rows lacks, of those that lack any."""
    planned = set(study.keys(dataset))
    found = {name: len(planned - set(rows.get(name, {}))) for name in names}
    return {name: count for name, count in found.items() if count}


def _failed(rows: Mapping[str, Trials], names: Sequence[str]) -> dict[str, int]:
    found = {name: sum(v is None for v in rows.get(name, {}).values()) for name in names}
    return {name: count for name, count in found.items() if count}


def _as_zero(trials: Trials) -> Row:
    return {key: 0.0 if value is None else value for key, value in trials.items()}


def _left_out(trials: Trials) -> Row:
    return {key: value for key, value in trials.items() if value is not None}


def _contrast(study: Study, dataset: str, ours: list[Row], theirs: list[Row]) -> Contrast | None:
    if not set.intersection(*(set(row) for row in [*ours, *theirs])):
        return None
    independent = study.datasets[dataset].replicates > 0
    return contrast(ours, theirs, study.smallest / 100, independent)


def _compared(study: Study, rows: Mapping[str, Trials], name: str, dataset: str) -> Answered:
    """One contrast, undecided yet; the difference shown has a failed trial as 0 in `of` only.

    That a loss fails is no evidence for another, so it is left out where it is to be beaten.
    """
    design = study.contrasts[name]
    names = [*design.of, *design.over]
    missing = missing_trials(study, dataset, rows, names)
    of, over = ([rows.get(row, {}) for row in side] for side in (design.of, design.over))
    found = _contrast(study, dataset, list(map(_as_zero, of)), list(map(_left_out, over)))
    return Answered(
        name=name,
        dataset=dataset,
        primary=design.primary,
        contrast=found,
        p=None if found is None or missing else _p(found),
        comparisons=0,
        relevant=None,
        answer="incomplete",
        missing=missing,
        failed=_failed(rows, names),
    )


def _p(found: Contrast) -> float | None:
    return found.p_better if (found.mean or 0.0) >= 0 else found.p_worse


def _decided(
    study: Study, family: Sequence[Answered], values: Mapping[str, Mapping[str, Trials]]
) -> list[Answered]:
    """With corrected p-values and answers.

    The correction is for all contrasts of the design, whether their trials are there yet or not.
    """
    shown = _answers(study, family, [one.contrast for one in family])
    decided = []
    treatments = []
    for treat in (_as_zero, _left_out):
        again = []
        for one in family:
            design, rows = study.contrasts[one.name], values[one.dataset]
            of, over = ([treat(rows.get(r, {})) for r in side] for side in (design.of, design.over))
            again.append(_contrast(study, one.dataset, of, over))
        treatments.append(_answers(study, family, again))
    for index, one in enumerate(shown):
        others = {treated[index].answer for treated in treatments if one.failed}
        if one.answer != "incomplete" and others - {one.answer}:
            one = replace(one, answer="inconclusive", relevant=None)
        decided.append(one)
    return decided


def _answers(
    study: Study, family: Sequence[Answered], contrasts: Sequence[Contrast | None]
) -> list[Answered]:
    """The family with these contrasts in place of its own, corrected and answered."""
    raw = [
        None if one.missing or found is None else _p(found)
        for one, found in zip(family, contrasts, strict=True)
    ]
    corrected = holm([1.0 if p is None else p for p in raw])
    answered = []
    for one, found, before, p in zip(family, contrasts, raw, corrected, strict=True):
        tested = replace(one, p=None if before is None else p, comparisons=len(family))
        answer, relevant = _answer(study, tested, found)
        answered.append(replace(tested, answer=answer, relevant=relevant))
    return answered


def _answer(study: Study, one: Answered, found: Contrast | None) -> tuple[Answer, bool | None]:
    if found is None or one.p is None or found.p_lead is None:
        return "incomplete", None
    # Corrected too: a lead must not be ruled out, or called relevant, by the luck of one of many.
    below, above = (one.comparisons * p < study.level for p in (found.p_lead, found.p_less))
    if one.p < study.level and found.mean < 0:
        return "worse", None
    if one.p < study.level:
        return "better", True if above else (False if below else None)
    if below:
        return "no relevant lead", None
    return "inconclusive", None


def _decomposed(study: Study, rows: Mapping[str, Trials], name: str, dataset: str) -> Decomposed:
    levels = study.decompositions[name].levels
    names = [row for level in levels for row in level.rows]
    missing = missing_trials(study, dataset, rows, names)
    steps = whole = None
    units = 0
    if not missing:
        chosen = [[_left_out(rows[row]) for row in level.rows] for level in levels]
        chosen[-1] = [_as_zero(rows[row]) for row in levels[-1].rows]
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
