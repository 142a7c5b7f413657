"""Records read from JSON with a strict schema: what every kind of file of a leaderboard shares."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from dmlbench.errors import UsageError
from dmlbench.plan.config import sha256_of

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
# What every reader, JavaScript included, holds exactly.
Count = Annotated[int, Field(ge=0, le=2**53)]
# Seeds, epochs, dimensions: what may be counted up to.
Small = Annotated[int, Field(ge=0, le=10**6)]
# Trials of a file: tests between n rows need memory for n² times as many values.
MOST_TRIALS = 1000
Seconds = Annotated[float, Field(ge=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def check_name(name: str) -> str:
    """A name that a record can hold, without spaces around it.

    Raises `UsageError` for one that is empty, too long, or not Unicode.
    """
    try:
        return TypeAdapter(Name).validate_python(name.strip())
    except ValidationError as error:
        raise UsageError("--name takes 1 to 200 characters of Unicode.") from error


class Record(BaseModel):
    """A part of a file: unknown fields, NaN and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def to_text(self) -> str:
        """The file's text: sorted keys, so equal records are equal bytes."""
        return json.dumps(self.model_dump(), sort_keys=True, indent=1, allow_nan=False) + "\n"

    def content_sha256(self) -> str:
        """SHA-256 (hex) of everything that the record says, however its file is laid out.

        Without what has its default value: a field that the schema gets later, with a default,
        changes the hash of no record that was there before.
        """
        return sha256_of(self.model_dump(exclude_defaults=True))
