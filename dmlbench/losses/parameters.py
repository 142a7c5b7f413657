"""Checks of what a user may set on a loss; errors name the loss, the parameter and the way out.

Every function returns the value in the type that the loss computes with, or raises `ValueError`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def refuse(loss: str, name: str, value: Any, allowed: str) -> ValueError:
    """The error for a value that cannot be meant."""
    return ValueError(f"loss {loss!r}: {name} is {value!r}, but it must be {allowed}")


def number(
    loss: str,
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
) -> float:
    """A finite number, ``above < value < below`` and ``least <= value <= most``."""
    bounds = [
        f"above {above:g}" if above > -math.inf else "",
        f"at least {least:g}" if least > -math.inf else "",
        f"below {below:g}" if below < math.inf else "",
        f"at most {most:g}" if most < math.inf else "",
    ]
    allowed = " ".join(["a finite number", " and ".join(b for b in bounds if b)]).strip()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise refuse(loss, name, value, allowed)
    if not (above < value < below and least <= value <= most):
        raise refuse(loss, name, value, allowed)
    return float(value)


def whole(loss: str, name: str, value: Any, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise refuse(loss, name, value, f"a whole number of at least {least}")
    return value


def flag(loss: str, name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise refuse(loss, name, value, "true or false")
    return value


def choice(loss: str, name: str, value: Any, options: Sequence[str]) -> str:
    """One of `options`."""
    if value not in options:
        raise refuse(loss, name, value, "one of " + ", ".join(repr(o) for o in options))
    return value
