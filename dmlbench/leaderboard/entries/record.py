"""Records read from JSON with a strict schema: what every kind of file of a leaderboard shares."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dmlbench.errors import VerificationError
from dmlbench.files import resolved
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.config import sha256_of

MAX_RECORD_BYTES = 64 * 2**20
MAX_DEPTH = 64

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
# What every reader, JavaScript included, holds exactly.
Count = Annotated[int, Field(ge=0, le=2**53)]
# Seeds, epochs, widths: what may be counted up to.
Small = Annotated[int, Field(ge=0, le=10**6)]
Seconds = Annotated[float, Field(ge=0.0)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Record(BaseModel):
    """A part of a file: unknown fields, NaN and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    def to_text(self) -> str:
        """The file's text: sorted keys, so that equal records are equal bytes."""
        return json.dumps(self.model_dump(), sort_keys=True, indent=1, allow_nan=False) + "\n"

    def content_sha256(self) -> str:
        """SHA-256 (hex) of everything that the record says, however its file is laid out.

        Without what has its default value: a field that the schema gets later, with a default,
        changes the hash of no record that was there before.
        """
        return sha256_of(self.model_dump(exclude_defaults=True))


Kind = TypeVar("Kind", bound=Record)


def parse_record(kind: type[Kind], text: str | bytes, source: str, newest: int) -> Kind:
    """Read a record from JSON text.

    source: names the file in errors. newest: the highest schema version that is understood.
    Raises `VerificationError` that names the file, the field and what does not hold.
    """
    name = kind.__name__.lower()
    try:
        data = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition
        )
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{source} is not valid JSON: {plain(str(error))}.") from error
    if _deeper_than(data, MAX_DEPTH):
        raise VerificationError(
            f"{source} is nested too deeply for an {name}: more than {MAX_DEPTH} levels."
        )
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version is not None and type(version) is not int:
        # Python's True and 1.0 equal 1, but no other reader of JSON takes them for it.
        raise VerificationError(f"{source}: schema_version must be a whole number.")
    if version is not None and version > newest:
        raise VerificationError(
            f"{source} has schema version {version}; this dmlbench reads up to {newest}. "
            f"Upgrade dmlbench."
        )
    try:
        return kind.model_validate(data)
    except ArithmeticError as error:
        raise VerificationError(f"{source}: a number is out of range: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = plain(first["msg"], 500)
        raise VerificationError(f"{source}: {plain(where)}: {message}{more}.") from error


def read_text(path: Path, most: int = MAX_RECORD_BYTES) -> str:
    """The text of a regular UTF-8 file of at most `most` bytes.

    Raises `VerificationError` that names the file and what is wrong with it.
    """
    try:
        _refuse_link_out(path)
        status = path.stat()
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(status.st_mode):
            raise VerificationError(f"{path} is no regular file.")
        if status.st_size > most:
            raise VerificationError(f"{path}: {too_large(most)}")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > most:
        raise VerificationError(f"{path}: {too_large(most)}")
    try:
        # Decoded here: json would guess UTF-16 from the first bytes.
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{path} is not UTF-8 text: {error.reason}.") from error


def _refuse_link_out(path: Path) -> None:
    """Raise `VerificationError` for a link that leads out of the leaderboards it is in.

    What is there may be private, and messages would quote it.
    """
    root = Path(os.path.abspath(path)).parents[2:3]  # above protocol and dataset
    if path.is_symlink() and root and not resolved(path).is_relative_to(resolved(root[0])):
        raise VerificationError(
            f"{path} is a link that leads out of {root[0]}. Put the file itself there."
        )


def too_large(most: int = MAX_RECORD_BYTES) -> str:
    return f"more than {most} bytes, which is the limit for an entry."


def _deeper_than(data: Any, most: int) -> bool:
    level = [data]
    for _ in range(most + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def _refuse_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of two values for one key, JSON readers show either."""
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return values


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number that JSON knows")
