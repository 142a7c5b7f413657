"""What a design could see: variances from the trials there are, and the power they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from dmlbench.statistics.intervals import Key
from dmlbench.statistics.power import (
    Components,
    Spread,
    difference_spread,
    power,
    smallest_seen,
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
        rows = {name: _known(trials) for name, trials in values.get(dataset, {}).items()}
        seeds = len(study.keys(dataset)) // study.units(dataset)
        names: dict[str, None] = {}
        for name, design in primary.items():
            asked = source.contrasts.get(name)
            if asked is None or dataset not in study.places_of(design):
                continue
            if not all(rows.get(row) for row in asked.rows):
                continue
            sides = _best_rows(rows, asked.of, asked.over)
            keys = sorted(set(sides[0]) & set(sides[1]))
            if len(keys) < 2:
                continue
            names |= dict.fromkeys(asked.rows)
            repeated = len(keys) > len({unit for unit, _ in keys})
            differences = {key: sides[0][key] - sides[1][key] for key in keys}
            components = variance_components(differences) if repeated else None
            spread = difference_spread(sides, seeds, CONFIDENCE)
            found.append(_of(study, name, dataset, components, len(keys), spread))
        together = [rows[name] for name in names]
        common = set.intersection(*(set(row) for row in together)) if together else set()
        if len(together) > 2 and len(common) > 1:
            spread = difference_spread(together, seeds, CONFIDENCE)
            found.append(_of(study, "any two rows", dataset, None, len(common), spread))
    return found


def _of(
    study: Study,
    name: str,
    dataset: str,
    components: Components | None,
    trials: int,
    spread: Spread,
) -> Precision:
    units = study.units(dataset)
    units = units if units > 1 else len(study.keys(dataset))
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


def _best_rows(
    rows: Mapping[str, Mapping[Key, float]], of: Sequence[str], over: Sequence[str]
) -> list[dict[Key, float]]:
    """The best row of each side over the trials that all have, in points."""
    sides = [[dict(rows[row]) for row in names] for names in (of, over)]
    keys = sorted(set.intersection(*(set(row) for side in sides for row in side)))
    chosen = [max(side, key=lambda row: sum(row[k] for k in keys)) for side in sides]
    return [{key: row[key] for key in keys} for row in chosen]


def _known(trials: Trials) -> dict[Key, float]:
    """In points."""
    return {key: 100 * value for key, value in trials.items() if value is not None}
