"""Parameters of losses and combiners that a recipe brings, used where the user gives none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmlbench.plan.config import Component
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plugins.registry import Registered

#: Name of a loss or combiner -> its parameters (`dmlbench.plan.recipe.Recipe.parameters`).
Parameters = Mapping[str, Mapping[str, Any]]


def usual_of(item: Registered, usual: Parameters) -> Mapping[str, Any]:
    """A recipe's parameters of one component.

    A short name means the built-in, since another distribution may have the same; any other
    component goes by its id.
    """
    return usual.get(item.spec.name if item.distribution == BUILT_IN else item.id, {})


def in_order(usual: Parameters, losses: Sequence[Component]) -> dict[str, dict[str, Any]]:
    """A recipe's parameters, with tables by loss as lists in the order of `losses`.

    A table that does not name all of them is left out: the combiner's default holds.
    """
    resolved: dict[str, dict[str, Any]] = {}
    for name, params in usual.items():
        resolved[name] = {}
        for key, value in params.items():
            if not isinstance(value, Mapping):
                resolved[name][key] = value
            elif all(loss.name in value for loss in losses):
                resolved[name][key] = [value[loss.name] for loss in losses]
    return resolved
