"""Parameters of losses and combiners that a recipe brings, used where the user gives none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.plan.config import Component
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plan.recipe import Recipe
from dmlbench.plan.values import check_values
from dmlbench.plugins.registry import Registered, Registry

#: (kind, id) of a loss or combiner -> its parameters.
Parameters = Mapping[tuple[str, str], Mapping[str, Any]]

_KINDS = ("losses", "combiners")


def usual_parameters(recipe: Recipe, registry: Registry) -> Parameters:
    """What a recipe's tables ``[parameters.NAME]`` say, by the component that each name means.

    A short name or alias means the built-in, since another distribution may have the same; any
    other component goes by its id. In a combiner's parameters a table is one by loss, and becomes
    one by the ids of losses. Raises `UsageError` for names, parameters and values that nothing
    has, whether or not the component is used, and for two names of one component.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, params in recipe.parameters.items():
        place = f"recipe.parameters.{name}"
        item = _named(registry, _KINDS, name, place)
        if (item.kind, item.id) in found:
            raise UsageError(f"{place}: another table already has the parameters of {item.id}.")
        item.resolve_params(params)
        check_values(item, params)
        if item.kind == "combiners":
            params = {
                key: _by_id(registry, value, f"{place}.{key}") if _is_table(value) else value
                for key, value in params.items()
            }
        found[item.kind, item.id] = dict(params)
    return found


def usual_of(
    item: Registered, usual: Parameters, losses: Sequence[Component] = ()
) -> dict[str, Any]:
    """A recipe's parameters of one component.

    losses: those of a combiner, in whose order tables by loss become lists. A table that does not
        name all of them is left out: the combiner's default is used.
    """
    params = dict(usual.get((item.kind, item.id), {}))
    if item.kind != "combiners":
        return params
    ids = [loss.id for loss in losses]
    return {
        key: [value[one] for one in ids] if _is_table(value) else value
        for key, value in params.items()
        if not _is_table(value) or all(one in value for one in ids)
    }


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping)


def _by_id(registry: Registry, table: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A table by loss with ids as keys."""
    by_id: dict[str, Any] = {}
    for name, value in table.items():
        item = _named(registry, ("losses",), name, place)
        if item.id in by_id:
            raise UsageError(f"{place} names {item.id} twice.")
        by_id[item.id] = value
    return by_id


def _named(registry: Registry, kinds: Sequence[str], name: str, place: str) -> Registered:
    """The component that a name in a recipe means. Raises `UsageError` where there is none."""
    found = [item for kind in kinds for item in registry.find(kind, name)]
    meant = found if ":" in name else [item for item in found if item.distribution == BUILT_IN]
    if len(meant) == 1:
        return meant[0]
    if found:
        ids = " or ".join(item.id for item in found)
        raise UsageError(f"{place}: write the id in quotes, because {name!r} could mean {ids}.")
    items = [item for kind in kinds for item in registry.of_kind(kind)]
    known = {
        one for item in items if item.distribution == BUILT_IN for one in item.short_names(False)
    }
    known |= {item.id for item in items if item.distribution != BUILT_IN}
    close = difflib.get_close_matches(name.lower(), sorted(known), n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    kind = "loss" if kinds == ("losses",) else "loss or combiner"
    raise UsageError(
        f"{place}: there is no {kind} named {name!r}.{hint} See `dmlbench list losses`."
    )
