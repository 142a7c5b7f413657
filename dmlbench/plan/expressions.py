"""The small language of the command line: ``name(key=value, ...)`` and ``path.to.key=value``.

Values are TOML values (``0.1``, ``true``, ``[1, 2]``, ``"text"``); a bare word is a string.
``3*name(...)`` means three copies of one thing.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from dmlbench.errors import UsageError

_CALL = re.compile(r"\s*(?P<name>[A-Za-z0-9_.:+-]+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)
_COPIES = re.compile(r"\s*(?P<count>[0-9]{1,4})\s*\*(?P<rest>.*)", re.DOTALL)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_OPENING, _CLOSING = "([{", ")]}"


def split_list(text: str) -> list[str]:
    """Split at the commas outside brackets and quotes: ``"a(x=1, y=2),b"`` has two parts."""
    parts, depth, quote, start = [], 0, "", 0
    for position, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in _OPENING:
            depth += 1
        elif character in _CLOSING:
            depth -= 1
            if depth < 0:
                raise UsageError(f"{text!r} closes a bracket that was not opened.")
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth or quote:
        raise UsageError(f"{text!r} opens a bracket or a quote that is not closed.")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def parse_value(text: str) -> Any:
    """Read one TOML value; ``null`` and ``none`` are None, what is not TOML is a string."""
    text = text.strip()
    if text.lower() in ("null", "none"):
        return None
    if text in ("True", "False"):
        return text == "True"
    try:
        document = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:  # Python reads no integer of more than 4,300 digits
        raise UsageError(f"{text[:20]}... has too many digits: {len(text):,}.") from error
    try:
        # Dates, nan and inf are TOML, but no value that an entry can hold.
        json.dumps(document, allow_nan=False)
    except (TypeError, ValueError):
        return text
    return document["value"] if set(document) == {"value"} else text


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read ``key=value``; the key may have dots."""
    key, equals, value = text.partition("=")
    key = key.strip()
    if not equals or not _KEY.fullmatch(key) or not value.strip():
        raise UsageError(f"{text!r} is not of the form key=value, such as recipe.epochs=4.")
    return key, parse_value(value)


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """Read ``name`` or ``name(key=value, ...)`` into the name and its parameters."""
    match = _CALL.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not of the form name or name(key=value, ...).")
    params: dict[str, Any] = {}
    for part in split_list(match["arguments"] or ""):
        key, value = parse_assignment(part)
        if key in params:
            raise UsageError(f"{text!r} gives {key} twice.")
        params[key] = value
    return match["name"], params


def parse_copies(text: str) -> tuple[int, str]:
    """Read ``3*name(...)`` as ``(3, "name(...)")``; anything else is one copy of itself."""
    match = _COPIES.fullmatch(text)
    if match is None:
        return 1, text
    count = int(match["count"])
    if count < 1:
        raise UsageError(f"{text!r} asks for no copy; write 1 or more.")
    return count, match["rest"].strip()


def dotted(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys.

    >>> dotted({"recipe": {"epochs": 4, "batch": {"images": 2}}})
    {'recipe.epochs': 4, 'recipe.batch.images': 2}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= dotted(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
