"""What a design could see: variances from the trials there are, and the power they give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from dmlbench.statistics.intervals import Key
from dmlbench.statistics.power import (
    Components,
    deviation_of_unit,
    power,
    smallest_seen,
    variance_components,
)
from dmlbench.study.analysis import Values
from dmlbench.study.design import Study


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What one contrast could see on one dataset, by the trials that are there.

    components: standard deviations of the paired difference, in points; `between` is NaN from one
        class split.
    trials: how many pairs they come from. smallest: the difference in points that the whole design
        finds with 80 % power under the strictest step of its correction. relevant: the power
        against the smallest difference that matters. None where the design has fewer than three
        class splits (or trials, of one split).
    """

    name: str
    dataset: str
    components: Components
    trials: int
    smallest: float | None
    relevant: float | None


def precision(study: Study, values: Values, primary_only: bool = True) -> list[Precision]:
    """For each contrast and dataset with enough trials; the best rows are those best by mean."""
    found = []
    for name, design in study.contrasts.items():
        if primary_only and not design.primary:
            continue
        family = [c for c in study.contrasts.values() if c.primary is design.primary]
        tests = sum(len(study.places_of(c)) for c in family)
        for dataset in study.places_of(design):
            rows = values.get(dataset, {})
            if not all(rows.get(row) for row in [*design.of, *design.over]):
                continue
            differences = _differences(rows, design.of, design.over)
            try:
                components = variance_components(differences)
            except ValueError:
                continue
            found.append(_of(study, name, dataset, components, len(differences), tests))
    return found


def _of(
    study: Study, name: str, dataset: str, components: Components, trials: int, tests: int
) -> Precision:
    units = study.units(dataset)
    seeds = len(study.keys(dataset)) // units
    if units > 1:
        between = 0.0 if math.isnan(components.between) else components.between
        deviation = deviation_of_unit(Components(between, components.within), seeds)
    else:
        deviation, units = components.within, seeds
    level = study.level / tests
    enough = units >= 3 and deviation > 0
    return Precision(
        name=name,
        dataset=dataset,
        components=components,
        trials=trials,
        smallest=smallest_seen(deviation, units, level) if enough else None,
        relevant=power(study.smallest, deviation, units, level) if enough else None,
    )


def _differences(rows, of: Sequence[str], over: Sequence[str]) -> dict[Key, float]:
    """Trial by trial, of the best row on each side, in points."""
    sides = [[_known(rows[row]) for row in names] for names in (of, over)]
    keys = sorted(set.intersection(*(set(row) for side in sides for row in side)))
    ours, theirs = (max(side, key=lambda row: sum(row[k] for k in keys)) for side in sides)
    return {key: 100 * (ours[key] - theirs[key]) for key in keys}


def _known(trials) -> dict[Key, float]:
    return {key: value for key, value in trials.items() if value is not None}
