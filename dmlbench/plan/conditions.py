"""Values that are searched only beside some values of others, where they have an effect.

A condition is a table, ``"when"``: key or parameter -> the values beside which it holds. A search
space is a table: key -> a list of choices, ``{"choices": [...]}`` or a range; either table may have
a condition (`dmlbench.plan.search_space`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dmlbench.plan.identity import same

Condition = Mapping[str, Sequence[Any]]


def condition_of(tried: Any) -> Condition:
    """The condition of what may be tried; empty where it always is."""
    return tried.get("when", {}) if isinstance(tried, Mapping) else {}


def choices_of(tried: Any) -> list[Any] | None:
    """The choices of what may be tried; None where it is a range."""
    if isinstance(tried, Mapping):
        tried = tried.get("choices")
    return None if tried is None else list(tried)


def holds(when: Condition, values: Mapping[str, Any]) -> bool:
    """Whether the values are among those that a condition names."""
    return all(_among(values[key], some) for key, some in when.items())


def is_tried(space: Mapping[str, Any], key: str, values: Mapping[str, Any]) -> bool:
    """Whether a key is searched beside these values of the whole space."""
    return holds(condition_of(space[key]), values)


def effective(
    space: Mapping[str, Any], values: Mapping[str, Any], start: Mapping[str, Any]
) -> dict[str, Any]:
    """The values, with those that have no effect beside the others as they were at the start.

    Two sets of values that differ in such a value alone are one: it is not tried twice.
    """
    out = {**start, **values}
    for _ in space:  # a condition may name a key that has a condition itself
        out |= {key: start[key] for key in space if not is_tried(space, key, out)}
    return out


def simplify(space: Mapping[str, Any], value_of: Callable[[str], Any]) -> dict[str, Any]:
    """The space without what is never tried, and without conditions that always hold.

    value_of: the value of a key that is not searched.
    """
    kept = dict(space)
    while True:
        left = {key: left_open(condition_of(kept[key]), kept, value_of) for key in kept}
        if None not in left.values():
            break
        kept = {key: tried for key, tried in kept.items() if left[key] is not None}
    for key, when in left.items():
        if condition_of(kept[key]):
            rest = {name: value for name, value in kept[key].items() if name != "when"}
            kept[key] = {**rest, "when": when} if when else rest
    return kept


def left_open(
    when: Condition, space: Mapping[str, Any], value_of: Callable[[str], Any]
) -> Condition | None:
    """What of a condition depends on searched values; None where it never holds."""
    left = {}
    for key, some in when.items():
        if key not in space:
            possible, certain = _among(value_of(key), some), True
        elif (choices := choices_of(space[key])) is None:
            possible, certain = any(_within(value, space[key]) for value in some), False
        else:
            hits = [_among(choice, some) for choice in choices]
            possible, certain = any(hits), all(hits)
        if not possible:
            return None
        if not certain:
            left[key] = some
    return left


def _among(value: Any, some: Sequence[Any]) -> bool:
    return any(same(value, one) for one in some)


def _within(value: Any, tried: Mapping[str, Any]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and tried["low"] <= value <= tried["high"]
