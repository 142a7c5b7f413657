"""JSON text becomes a record, or an error that names the file and the field."""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.record import Record
from dmlbench.leaderboard.entries.sanitize import plain

MAX_DEPTH = 64
_SPACED_COLON = re.compile(rb'"[ \t\r\n]+:')


Kind = TypeVar("Kind", bound=Record)


def parse_record(kind: type[Kind], text: str | bytes, source: str, newest: int) -> Kind:
    """Read a record from JSON text.

    source: names the file in errors. newest: the highest schema version that is understood.
    Raises `VerificationError` that names the file, the field and what does not hold.
    """
    return parse_values(kind, text, source, newest)[0]


def parse_values(
    kind: type[Kind], text: str | bytes, source: str, newest: int
) -> tuple[Kind, dict[str, Any]]:
    """As `parse_record`, with the JSON values that the record was made from."""
    name = kind.__name__.lower()
    data = _read_json(text, source, name)
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
        return kind.model_validate(data), data
    except ArithmeticError as error:
        raise VerificationError(f"{source}: a number is out of range: {error}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or name
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = plain(first["msg"], 500)
        raise VerificationError(f"{source}: {plain(where)}: {message}{more}.") from error


def _read_json(text: str | bytes, source: str, name: str) -> Any:
    data = _read_fast(text.encode() if isinstance(text, str) else text)
    if data is not None:
        return data
    try:
        data = json.loads(
            text, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repetition
        )
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"{source} is not valid JSON: {plain(str(error))}.") from error
    if _shape(data)[1] > MAX_DEPTH + 1:
        raise VerificationError(
            f"{source} is nested too deeply for an {name}: more than {MAX_DEPTH} levels."
        )
    return data


def _read_fast(text: bytes) -> Any:
    """The values of JSON text that is certainly sound; None where a closer look is needed.

    Of two values for one key this reader keeps the last, so the keys are counted: at least as many
    quotes are followed by a colon as there are keys in the text, and no more than it has keys where
    each is there once.
    """
    try:
        data = from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    keys, depth = _shape(data)
    colons = text.count(b'":') + len(_SPACED_COLON.findall(text))
    return data if keys == colons and depth <= MAX_DEPTH + 1 else None


def _shape(data: Any) -> tuple[int, int]:
    """How many keys the objects of a JSON value have together, and how deeply it is nested."""
    keys, depth, level = 0, 0, [data] if type(data) in (dict, list) else []
    while level and depth <= MAX_DEPTH + 1:
        depth += 1
        tables = [outer.values() for outer in level if type(outer) is dict]
        keys += sum(map(len, tables))
        lists = [outer for outer in level if type(outer) is list]
        # All values of a level at once: most of the time of reading goes into loops like this one.
        level = [v for v in chain(*tables, *lists) if type(v) is dict or type(v) is list]
    return keys, depth


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
