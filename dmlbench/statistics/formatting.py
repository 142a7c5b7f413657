"""Numbers and lists as sentences have them."""

from __future__ import annotations

from collections.abc import Sequence


def points(fraction: float, signed: bool = False) -> str:
    """A difference of fractions in points: one decimal, two where one would show 0.

    >>> points(0.0192), points(-0.0003, signed=True)
    ('1.9', '-0.03')
    """
    value = 100 * fraction
    decimals = 1 if abs(value) >= 0.05 or value == 0 else 2
    text = f"{value:{'+' if signed else ''}.{decimals}f}"
    return "0.0" if float(text) == 0 else text


def p_text(name: str, value: float) -> str:
    """Write a p-value; never a rounding that crosses 0.05.

    >>> p_text("p", 0.0004), p_text("p", 0.0496), p_text("p", 0.25)
    ('p < 0.001', 'p = 0.0496', 'p = 0.25')
    """
    if value < 0.001:
        return f"{name} < 0.001"
    decimals = 2 if value >= 0.1 else 3
    while decimals < 9 and (float(f"{value:.{decimals}f}") < 0.05) != (value < 0.05):
        decimals += 1
    return f"{name} = {value:.{decimals}f}"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
