"""JSON text becomes a record, or an error that names the file and the field."""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import ValidationError

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.record import Record
from dmlbench.leaderboard.entries.sanitize import plain

MAX_DEPTH = 64


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
        raise ValueError(f"the key {twice!r} appears twice in one object")
    return values


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")
