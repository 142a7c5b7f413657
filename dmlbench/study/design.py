"""The design of a study: a TOML file that says what is trained, compared and concluded.

It is written before the runs. Everything that could be chosen after a look at results is in it:
rows, datasets, class splits, seeds, tuning, contrasts and the smallest difference that matters.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.record import Record
from dmlbench.statistics.intervals import Key

_MOST_PRIMARY = 3
Text = Annotated[str, Field(min_length=1, max_length=2000)]
Names = Annotated[list[str], Field(min_length=1)]
Values = dict[str, Any]
Split = Annotated[int, Field(ge=0, le=10**6)]
Seeds = Annotated[int, Field(ge=1, le=1000)]
#: Stands for the number of a replicate in the name of a dataset.
REPLICATE = "{replicate}"


class DatasetDesign(Record):
    """Where rows are trained: a dataset, and values of recipe or protocol that belong to it.

    dataset: as on the command line. With `replicates` it holds ``{replicate}``, which is 1, 2, ...
        in turn: independent draws of the same kind of data, on each of which everything is tuned
        and trained by itself, on the draw's own class split.
    first: number of the first replicate.
    splits, seeds: in place of the study's.
    """

    dataset: Text
    set: Values = Field(default_factory=dict)
    replicates: Annotated[int, Field(ge=0, le=1000)] = 0
    first: Annotated[int, Field(ge=1, le=10**6)] = 1
    splits: list[Split] | None = None
    seeds: Seeds | None = None

    @model_validator(mode="after")
    def _replicates_have_a_place(self) -> DatasetDesign:
        if (self.replicates > 0) != (REPLICATE in self.dataset):
            raise ValueError(f"replicates and {REPLICATE} in dataset belong together")
        if self.first > 1 and not self.replicates:
            raise ValueError("first is the number of the first of several replicates")
        if self.replicates and self.splits not in (None, [0]):
            raise ValueError("a replicate has its own class split, number 0")
        return self

    def names(self) -> dict[int, str]:
        """Replicate -> the dataset as on the command line; 0 where there are none."""
        if not self.replicates:
            return {0: self.dataset}
        numbers = range(self.first, self.first + self.replicates)
        return {number: self.dataset.replace(REPLICATE, str(number)) for number in numbers}


class RowDesign(Record):
    """One row: a loss alone, or a combiner of several.

    losses, combiner: as on the command line. set: values by dotted key, over those of the dataset.
    tuned: within the study's budget; otherwise the values are those that are given here.
    datasets: only on these; everywhere if empty.
    """

    losses: Names
    combiner: Text | None = None
    tuned: bool = True
    set: Values = Field(default_factory=dict)
    datasets: list[str] = Field(default_factory=list)


class ContrastDesign(Record):
    """A comparison: the best of the rows `of` against the best of the rows `over`.

    question: answered by the sentence of the report. primary: one of the few that the study is for.
    datasets: only on these; if empty, wherever all of its rows are trained.
    """

    question: Text
    of: Names
    over: Names
    primary: bool = False
    datasets: list[str] = Field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        return [*self.of, *self.over]


class StepDesign(Record):
    """One level of a decomposition, and what it has that the one before does not have."""

    what: Text
    rows: Names


class DecompositionDesign(Record):
    """What a lead is made of: levels from the simplest row to the one that is explained."""

    question: Text
    levels: Annotated[list[StepDesign], Field(min_length=2)]
    datasets: list[str] = Field(default_factory=list)

    @property
    def rows(self) -> list[str]:
        return [row for level in self.levels for row in level.rows]


class Study(Record):
    """A whole study.

    metric: what decides. smallest: the smallest difference that matters, in points of it.
    seeds: of every class split. splits: their numbers; 0 is the dataset's own. A dataset may have
        its own of both.
    budget: tuning trials of every tuned row. level: of significance.
    correlations: rows, usually each loss alone, whose order is compared between datasets and
        class splits.
    """

    title: Text
    question: Text
    metric: Text = "map_at_r"
    smallest: Annotated[float, Field(gt=0, lt=100)]
    level: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    recipe: Text = "quick"
    seeds: Seeds
    splits: Annotated[list[Split], Field(min_length=1)]
    budget: Annotated[int, Field(ge=1, le=10**4)]
    datasets: Annotated[dict[str, DatasetDesign], Field(min_length=1)]
    rows: Annotated[dict[str, RowDesign], Field(min_length=1)]
    contrasts: Annotated[dict[str, ContrastDesign], Field(min_length=1)]
    decompositions: dict[str, DecompositionDesign] = Field(default_factory=dict)
    correlations: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _names_exist(self) -> Study:
        for splits in (self.splits, *(d.splits for d in self.datasets.values())):
            if splits is not None and (not splits or len(set(splits)) != len(splits)):
                raise ValueError("splits: name each class split once, and at least one")
        for place, names in self._mentions():
            for name in names:
                if name not in self.rows:
                    known = ", ".join(self.rows)
                    raise ValueError(f"{place} names the row {name!r}; the rows are {known}")
            if len(set(names)) != len(names):
                raise ValueError(f"{place} names a row twice")
        for name, found in self.contrasts.items():
            both = set(found.of) & set(found.over)
            if both:
                raise ValueError(f"contrasts.{name} has {min(both)!r} on both sides")
        placed = {f"rows.{name}": row for name, row in self.rows.items()}
        placed |= {f"contrasts.{name}": found for name, found in self.contrasts.items()}
        placed |= {f"decompositions.{name}": found for name, found in self.decompositions.items()}
        for place, part in placed.items():
            strangers = set(part.datasets) - set(self.datasets)
            if strangers:
                known = ", ".join(self.datasets)
                raise ValueError(
                    f"{place} names the dataset {min(strangers)!r}; the datasets are {known}"
                )
        for place, part in placed.items():
            if not place.startswith("rows.") and not self.places_of(part):
                raise ValueError(
                    f"{place}: there is no dataset on which all of its rows are trained"
                )
        if sum(found.primary for found in self.contrasts.values()) > _MOST_PRIMARY:
            raise ValueError(f"more than {_MOST_PRIMARY} contrasts are primary")
        return self

    def _mentions(self) -> list[tuple[str, list[str]]]:
        found = [("correlations", self.correlations)]
        for name, contrast in self.contrasts.items():
            found += [
                (f"contrasts.{name}.of", contrast.of),
                (f"contrasts.{name}.over", contrast.over),
            ]
        for name, decomposition in self.decompositions.items():
            for index, level in enumerate(decomposition.levels):
                found.append((f"decompositions.{name}.levels[{index}]", level.rows))
        return found

    def keys(self, dataset: str) -> list[Key]:
        """(Unit, seed) of every trial that a row has on a dataset, unit by unit.

        A unit is a class split or, where there are replicates, one of them.
        """
        design = self.datasets[dataset]
        seeds = range(design.seeds or self.seeds)
        units = list(design.names()) if design.replicates else (design.splits or self.splits)
        return [(unit, seed) for unit in units for seed in seeds]

    def units(self, dataset: str) -> int:
        """How many units a dataset has."""
        return len({unit for unit, _ in self.keys(dataset)})

    @property
    def sha256(self) -> str:
        """Hash of all that the design says, however its file is laid out."""
        return self.content_sha256()

    def places_of(self, part: ContrastDesign | DecompositionDesign) -> list[str]:
        """The datasets on which a contrast or decomposition is asked."""
        return [
            dataset
            for dataset in part.datasets or self.datasets
            if set(part.rows) <= set(self.rows_of(dataset))
        ]

    def rows_of(self, dataset: str) -> list[str]:
        """The rows that are trained on a dataset."""
        return [
            name for name, row in self.rows.items() if not row.datasets or dataset in row.datasets
        ]


def read_study(path: str | Path) -> Study:
    """Read a design. Raises `UsageError` that names the file and what is wrong with it."""
    try:
        table = tomllib.loads(read_text(Path(path)))
    except VerificationError as error:
        raise UsageError(str(error)) from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {error}.") from error
    try:
        return Study.model_validate(table)
    except ValidationError as error:
        lines = [_problem(one) for one in error.errors()]
        raise UsageError(f"{path} is not a design of a study: {'; '.join(lines[:5])}.") from error


def _problem(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"])
    text = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        text = "there is no such value"
    elif error["type"] == "missing":
        text = "is missing"
    return f"{place}: {text}" if place else text
