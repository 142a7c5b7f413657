"""What makes two configurations one, and two pieces of code one: the parts that decide numbers.

A value at its default is left out, so a new field with a default changes no identity.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from dmlbench.version import RESULTS_VERSION

BUILT_IN = "dmlbench"


# Of which equal ones have one JSON text.
_SCALARS = (str, int, float, bool, type(None))


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def sha256_of(value: Any) -> str:
    """SHA-256 (hex) of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def one_form(value: Any) -> Any:
    """A value in the one form that equal values share: 64.0 is 64, a tuple is a list."""
    if isinstance(value, Mapping):
        return {key: one_form(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [one_form(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal once each has its one form; True is not 1."""
    if type(one) is type(other) and type(one) in _SCALARS:
        return bool(one == other)
    return canonical_json(one_form(one)) == canonical_json(one_form(other))


def without_defaults(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The values that differ from their defaults, in their one form; tables field by field."""
    kept: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            inner = without_defaults(value, default)
            if inner:
                kept[key] = inner
        elif key not in defaults or not same(value, default):
            kept[key] = one_form(value)
    return kept


@functools.cache
def field_defaults(cls: type) -> dict[str, Any]:
    """The defaults of a dataclass, those of dataclasses in it as tables; not to be changed."""
    defaults: dict[str, Any] = {}
    for spec in dataclasses.fields(cls):
        if spec.default_factory is not dataclasses.MISSING:
            value = spec.default_factory()
            defaults[spec.name] = dataclasses.asdict(value) if _is_record(value) else value
        elif spec.default is not dataclasses.MISSING:
            defaults[spec.name] = spec.default
    return defaults


def states_the_same(stated: Any, whole: Any) -> bool:
    """Whether all that is stated has the same value in the whole, which may say more."""
    if isinstance(stated, Mapping) and isinstance(whole, Mapping):
        return all(key in whole and states_the_same(stated[key], whole[key]) for key in stated)
    if isinstance(stated, list) and isinstance(whole, list) and len(stated) == len(whole):
        return all(map(states_the_same, stated, whole))
    return same(stated, whole)


def code_identity(sources: Mapping[str, str | None], results_version: int) -> str:
    """Hash over the code that decides numbers.

    sources: source hash of each component, by kind and id; None where the results version
        covers it, as it does all that comes with dmlbench.
    """
    foreign = {name: digest for name, digest in sources.items() if digest is not None}
    return sha256_of({"results_version": results_version, "sources": foreign})


def current_code(sources: Mapping[str, str | None]) -> str:
    """`code_identity` under the results version of this dmlbench."""
    return code_identity(sources, RESULTS_VERSION)


def _is_record(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)
