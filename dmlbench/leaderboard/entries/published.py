"""Published results: numbers from papers, with their source and without trials.

``<out>/<protocol>/<dataset>/_published/<id>.json``. They are in tables of their own and are
never ranked, least of all with entries: nobody knows how they were selected.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dmlbench.leaderboard.entries.record import Count, Fraction, Name, Record
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import check_recall
from dmlbench.plan.writing import row_name

SCHEMA_VERSION = 1
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Source(Record):
    """Where a number was published.

    where: table, section or page. quoted_from: the source it was taken from, if that is
        another one.
    """

    authors: Text
    title: Text
    year: Annotated[int, Field(ge=1900, le=2200)]
    reference: Text
    where: Text
    quoted_from: Text | None


class PublishedMetrics(Record):
    """Published numbers as fractions; None or absent where they were not published."""

    recall_at: dict[str, Fraction]
    map_at_r: Fraction | None
    r_precision: Fraction | None
    nmi: Fraction | None

    @model_validator(mode="after")
    def _consistent(self) -> PublishedMetrics:
        check_recall(self.recall_at)
        if not self.recall_at and self.map_at_r is None and self.r_precision is None:
            raise ValueError("a published result needs at least one number")
        if None not in (self.map_at_r, self.r_precision) and self.map_at_r > self.r_precision:
            raise ValueError(f"MAP@R {self.map_at_r} is above R-Precision {self.r_precision}")
        return self


class PublishedResult(Record):
    """One published row.

    protocol: the folder it is stored in, not a promise that it was followed; `conditions` say how
    it was obtained. num_seeds: trainings behind the number, None where the source does not say.
    """

    schema_version: Literal[1]
    protocol: Name
    dataset: Name
    losses: Annotated[list[Name], Field(min_length=1)]
    combiner: Name | None
    backbone: Name
    pretrained: bool
    embedding_dim: Count
    num_seeds: Count | None
    conditions: Text
    metrics: PublishedMetrics
    source: Source
    submitter: Name | None

    @property
    def published_id(self) -> str:
        """Sixteen hex digits of the content's hash."""
        return self.content_sha256()[:16]

    @property
    def label(self) -> str:
        """A short name, such as ``wedl(triplet + multi-similarity)``."""
        return row_name(plain(self.combiner) if self.combiner else None, map(plain, self.losses))

    @property
    def citation(self) -> str:
        """The source on a line."""
        source = self.source
        parts = [source.authors, source.title, source.year, source.reference, source.where]
        quoted = f" (from {source.quoted_from})" if source.quoted_from else ""
        return plain(", ".join(map(str, parts)) + quoted, 500)
