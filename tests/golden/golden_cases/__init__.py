"""What the golden numbers are made of: fixed inputs, and what dmlbench computes from them.

A case computes named quantities. An input comes from an integer formula, never from a random
generator of a library. Where dmlbench itself draws from one, the case says from which, and its
numbers are compared only where that generator still gives what it gave.
"""

from __future__ import annotations

from golden_cases.case import Case


def all_cases() -> dict[str, Case]:
    """Every case by its name."""
    from golden_cases import combiners, data, defaults, losses, recipes, start

    cases: dict[str, Case] = {}
    for module in (losses, combiners, recipes, start, data, defaults):
        for name, case in module.cases().items():
            assert name not in cases, name
            cases[name] = case
    return cases
