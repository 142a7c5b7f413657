"""What a design could see: variances from the trials there are, and the power they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dmlbench.statistics.contrasts import unit_values
from dmlbench.statistics.intervals import Key
from dmlbench.statistics.power import (
    Components,
    Spread,
    interaction_spread,
    power,
    smallest_seen,
    unit_spread,
    variance_components,
)
from dmlbench.study.analysis import Trials, Values
from dmlbench.study.design import Study

#: Confidence of the intervals of standard deviations, and of the power that follows from them.
CONFIDENCE = 0.9


class Known(NamedTuple):
    """A value by the estimated spread, and by the ends of its interval: low <= value <= high."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What one contrast could see on one dataset, by the trials that are there.

    components: standard deviations of the paired difference, in points; `between` is NaN from one
        unit. None where no unit has two seeds, or the spread is that of all rows together.
    trials: how many pairs they come from. spread: of a unit's mean difference, in points.
    smallest: the difference in points that the whole design finds with 80 % power under the
        strictest step of its correction, where one row is compared with one. relevant: the power
        against the smallest difference that matters. None where the design has fewer than three
        units.
    """

    name: str
    dataset: str
    components: Components | None
    trials: int
    spread: Spread
    smallest: Known | None
    relevant: Known | None


def precision(study: Study, values: Values, pilot: Study | None = None) -> list[Precision]:
    """For each primary contrast and dataset with enough trials; the best rows are best by mean.

    values: of the study's own trials or, with a `pilot`, of the pilot's: its contrasts and datasets
    are those of the same name. Last, for each dataset, the spread that all rows of the primary
    contrasts give together, if they vary alike.
    """
    found = []
    source = pilot or study
    primary = {name: c for name, c in study.contrasts.items() if c.primary}
    for dataset in study.datasets:
        rows = values.get(dataset, {})
        names: dict[str, None] = {}
        for name, design in primary.items():
            asked = source.contrasts.get(name)
            if asked is None or dataset not in study.places_of(design):
                continue
            if not all(rows.get(row) for row in asked.rows):
                continue
            names |= dict.fromkeys(asked.rows)
            differences = _differences(rows, asked.of, asked.over)
            if len(differences) < 2:
                continue
            spread = unit_spread(differences, _seeds(study, dataset), CONFIDENCE)
            repeated = len(differences) > len({unit for unit, _ in differences})
            components = variance_components(differences) if repeated else None
            found.append(_of(study, name, dataset, components, len(differences), spread))
        together = _together(study, dataset, [_known(rows[row]) for row in names])
        if together is not None:
            found.append(together)
    return found


def _seeds(study: Study, dataset: str) -> int:
    return len(study.keys(dataset)) // study.units(dataset)


def _together(study: Study, dataset: str, rows: Sequence[Mapping[Key, float]]) -> Precision | None:
    """By the interaction of rows and units, where these have as many seeds as the design's."""
    if len(rows) < 3 or study.units(dataset) == 1:
        return None
    means, keys = unit_values(rows)
    units = {unit for unit, _ in keys}
    if len(units) < 2 or len(keys) != len(units) * _seeds(study, dataset):
        return None
    spread = interaction_spread(100 * means, CONFIDENCE)
    return _of(study, "any two rows", dataset, None, len(keys), spread)


def _of(
    study: Study,
    name: str,
    dataset: str,
    components: Components | None,
    trials: int,
    spread: Spread,
) -> Precision:
    units = study.units(dataset)
    units = units if units > 1 else _seeds(study, dataset)
    family = [c for c in study.contrasts.values() if c.primary]
    level = study.level / sum(len(study.places_of(c)) for c in family)
    smallest = relevant = None
    if units >= 3 and spread.low > 0:
        ends = (spread.value, spread.low, spread.high)
        smallest = Known(*(_smallest(deviation, units, level) for deviation in ends))
        value, high, low = (power(study.smallest, d, units, level) for d in ends)
        relevant = Known(value, low, high)
    return Precision(
        name=name,
        dataset=dataset,
        components=components,
        trials=trials,
        spread=spread,
        smallest=smallest,
        relevant=relevant,
    )


def _smallest(deviation: float, units: int, level: float) -> float:
    found = smallest_seen(deviation, units, level)
    assert found is not None, "three units or more"
    return found


def _differences(
    rows: Mapping[str, Trials], of: Sequence[str], over: Sequence[str]
) -> dict[Key, float]:
    """Trial by trial, of the best row on each side, in points."""
    sides = [[_known(rows[row]) for row in names] for names in (of, over)]
    keys = sorted(set.intersection(*(set(row) for side in sides for row in side)))
    ours, theirs = (max(side, key=lambda row: sum(row[k] for k in keys)) for side in sides)
    return {key: 100 * (ours[key] - theirs[key]) for key in keys}


def _known(trials: Trials) -> dict[Key, float]:
    return {key: value for key, value in trials.items() if value is not None}
