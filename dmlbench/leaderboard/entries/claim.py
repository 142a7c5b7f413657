"""Claims: numbers that somebody published, with their source and without trials.

``<out>/<protocol>/<dataset>/_claims/<claim id>.json``. They stand in tables of their own and are
never ranked, least of all with entries: nobody knows how they were selected.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dmlbench.errors import VerificationError
from dmlbench.files import write_text
from dmlbench.leaderboard.entries.record import (
    Count,
    Fraction,
    Name,
    Record,
    parse_record,
    read_text,
)
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.store import entry_path, leaderboard_folders
from dmlbench.leaderboard.entries.trial import check_recall
from dmlbench.plan.config import sha256_of
from dmlbench.plan.expressions import row_name

SCHEMA_VERSION = 1
FOLDER = "_claims"
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class Source(Record):
    """Where a number stands. where: table, section or page. quoted_from: whence it was taken, where
    that is not the source itself."""

    authors: Text
    title: Text
    year: Annotated[int, Field(ge=1900, le=2200)]
    reference: Text
    where: Text
    quoted_from: Text | None


class ClaimedMetrics(Record):
    """Published numbers as fractions; None or absent where they were not published."""

    recall_at: dict[str, Fraction]
    map_at_r: Fraction | None
    r_precision: Fraction | None
    nmi: Fraction | None

    @model_validator(mode="after")
    def _consistent(self) -> ClaimedMetrics:
        check_recall(self.recall_at)
        if not self.recall_at and self.map_at_r is None and self.r_precision is None:
            raise ValueError("a claim needs at least one number")
        if None not in (self.map_at_r, self.r_precision) and self.map_at_r > self.r_precision:
            raise ValueError(f"MAP@R {self.map_at_r} is above R-Precision {self.r_precision}")
        return self


class Claim(Record):
    """One published row.

    protocol: the folder it stands beside, not a promise that it was followed; `conditions` say how
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
    metrics: ClaimedMetrics
    source: Source
    submitter: Name | None

    @property
    def claim_id(self) -> str:
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


def parse_claim(text: str, source: str) -> Claim:
    """Read a claim from JSON text. Raises `VerificationError` that names the file and field."""
    return parse_record(Claim, text, source, SCHEMA_VERSION)


def read_claim(path: Path) -> Claim:
    """Read one file. Raises `VerificationError` that names it and says what is wrong with it."""
    claim = parse_claim(read_text(path), str(path))
    if path.name != f"{claim.claim_id}.json":
        raise VerificationError(
            f"{path}: its content belongs into {claim.claim_id}.json; it was changed after it was "
            f"made."
        )
    return claim


def claim_files(leaderboard: str | Path) -> list[Path]:
    """The files beside a leaderboard's entries that should be claims, by name."""
    return sorted((Path(leaderboard) / FOLDER).glob("*.json"))


def read_claims(leaderboard: str | Path) -> tuple[list[Claim], list[str]]:
    """The claims beside a leaderboard's entries, and a line for each file refused."""
    claims: list[Claim] = []
    problems: list[str] = []
    for path in claim_files(leaderboard):
        try:
            claims.append(read_claim(path))
        except VerificationError as error:
            problems.append(str(error))
    return claims, problems


def read_all_claims(
    folder: str | Path, dataset: str | None = None
) -> tuple[list[Claim], list[str]]:
    """The claims of all leaderboards under a folder, or of one dataset; as `read_claims`."""
    claims: list[Claim] = []
    problems: list[str] = []
    for leaderboard in leaderboard_folders(folder):
        found, refused = read_claims(leaderboard)
        claims += [claim for claim in found if dataset in (None, claim.dataset)]
        problems += refused
    return claims, problems


def write_claim(out: str | Path, claim: Claim) -> tuple[Path, bool]:
    """Write a claim; gives its path, and whether it is new."""
    folder = entry_path(out, claim.protocol, claim.dataset, claim.claim_id).parent
    path = folder / FOLDER / f"{claim.claim_id}.json"
    new = not path.exists()
    if new:
        write_text(path, claim.to_text())
    return path, new


def claim_row(claim: Claim) -> dict[str, Any]:
    """A claim as a row of a leaderboard's frame, in a group apart from every entry's."""
    metrics = claim.metrics
    shared = [claim.dataset, claim.backbone, claim.pretrained, claim.embedding_dim]
    return {
        "entry_id": claim.claim_id,
        "key": claim.claim_id,
        "rank_low": None,
        "rank_high": None,
        "position": None,
        "smallest_difference": None,
        "tier": "claimed",
        "name": claim.label,
        "losses": row_name(None, map(plain, claim.losses)),
        "combiner": plain(claim.combiner) if claim.combiner else None,
        "dataset": plain(claim.dataset),
        "backbone": plain(claim.backbone),
        "pretrained": claim.pretrained,
        "recipe": "as published",
        "protocol": "claimed",
        "width": "published",
        "embedding_dim": claim.embedding_dim,
        "seeds": 0,
        "failed": 0,
        **metrics.model_dump(exclude={"recall_at"}),
        "tries": [],
        "loss_rates": [],
        "head_dims": [],
        "distributions": [],
        "failures": [],
        "submitter": plain(claim.submitter) if claim.submitter else None,
        "concerns": [],
        "source": f"{claim.citation}. {plain(claim.conditions, 300)}",
        "group": f"claimed-{sha256_of([shared, claim.source.model_dump()])[:12]}",
    } | {f"recall_at_{k}": value for k, value in metrics.recall_at.items()}
