"""Checks of what a user may set on a loss; errors name the loss, the parameter and the way out.

Every function returns the value in the type that the loss computes with, or raises `ValueError`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

LARGEST_WHOLE = 2**53
_LARGEST_SHOWN_BITS = 330  # 100 digits


def invalid(loss: str, name: str, value: Any, allowed: str) -> ValueError:
    """The error for an invalid value."""
    return ValueError(f"loss {loss!r}: {name} is {_shown(value)}, but it must be {allowed}")


def _shown(value: Any) -> str:
    # Python refuses to write an integer of more than 4,300 digits, and nobody reads one of 100.
    if isinstance(value, int) and value.bit_length() > _LARGEST_SHOWN_BITS:
        return f"an integer of about {int(value.bit_length() * math.log10(2)) + 1:,} digits"
    return repr(value)


def number(
    loss: str,
    name: str,
    value: Any,
    *,
    gt: float = -math.inf,
    ge: float = -math.inf,
    lt: float = math.inf,
    le: float = math.inf,
) -> float:
    """A finite number, ``gt < value < lt`` and ``ge <= value <= le``."""
    bounds = [
        f"above {gt:g}" if gt > -math.inf else "",
        f"at least {ge:g}" if ge > -math.inf else "",
        f"below {lt:g}" if lt < math.inf else "",
        f"at most {le:g}" if le < math.inf else "",
    ]
    allowed = " ".join(["a finite number", " and ".join(b for b in bounds if b)]).strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise invalid(loss, name, value, allowed)
    if not (gt < value < lt and ge <= value <= le):
        raise invalid(loss, name, value, allowed)
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def whole(loss: str, name: str, value: Any, *, ge: int = 0) -> int:
    """A whole number of at least `ge`, and at most 2^53, which any float and any JSON holds."""
    if isinstance(value, bool) or not isinstance(value, int) or value < ge:
        raise invalid(loss, name, value, f"a whole number of at least {ge}")
    if value > LARGEST_WHOLE:
        raise invalid(loss, name, value, f"a whole number from {ge} to {LARGEST_WHOLE}")
    return value


def flag(loss: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise invalid(loss, name, value, "true or false")
    return value


def choice(loss: str, name: str, value: Any, options: Sequence[str]) -> str:
    """One of `options`."""
    if value not in options:
        raise invalid(loss, name, value, "one of " + ", ".join(repr(o) for o in options))
    return value
