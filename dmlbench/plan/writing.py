"""Names, parameters and values as text: what `dmlbench.plan.expressions` reads, and TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from dmlbench.plan.expressions import parse_value

_BARE_TEXT = re.compile(r"[\w.:/+-]+")


_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def write_copies(texts: Iterable[str]) -> list[str]:
    """Equal neighbours as one text that `parse_copies` reads: ``["3*ms", "triplet"]``."""
    runs = [(text, len(list(run))) for text, run in groupby(texts)]
    return [text if count == 1 else f"{count}*{text}" for text, count in runs]


def row_name(combiner: str | None, losses: Iterable[str]) -> str:
    """What a loss, or a combination, is called wherever one line names it.

    combiner, losses: their names, with parameters where the caller tells rows apart by them.

        >>> row_name(None, ["triplet"]), row_name("wedl", ["triplet", "ms", "ms"])
        ('triplet', 'wedl(triplet + 2*ms)')
        >>> row_name("fixed(weights=[1,2])", ["triplet", "supcon"])
        'fixed(weights=[1,2]) of triplet + supcon'
    """
    names = " + ".join(write_copies(losses))
    if combiner is None:
        return names
    return f"{combiner} of {names}" if combiner.endswith((")", "]")) else f"{combiner}({names})"


def write_call(name: str, params: Mapping[str, Any]) -> str:
    """What `parse_call` reads as this name and these parameters."""
    if not params:
        return name
    return f"{name}({', '.join(f'{key}={write_value(v)}' for key, v in params.items())})"


def write_value(value: Any) -> str:
    """What `parse_value` reads as this JSON value: text is bare where it is taken for text."""
    if isinstance(value, str) and _BARE_TEXT.fullmatch(value) and parse_value(value) == value:
        return value
    return toml_value(value)


def toml_value(value: Any) -> str:
    """A JSON value in TOML; None, which TOML lacks, as `parse_value` reads it."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        pairs = (
            f"{key if _BARE_KEY.fullmatch(key) else toml_value(key)} = {toml_value(item)}"
            for key, item in value.items()
        )
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str) and '"' in value and "'" not in value and value.isprintable():
        return f"'{value}'"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_document(values: Mapping[str, Any]) -> str:
    """A TOML file of JSON values and tables of them, plain values first."""
    tables = {key: value for key, value in values.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {toml_value(item)}" for key, item in values.items() if key not in tables]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {toml_value(v)}" for key, v in table.items())]
    return "\n".join(lines) + "\n"
