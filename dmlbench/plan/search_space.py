"""What tuning may change of a configuration, and the values found put in its place.

A value has a key: ``losses[0].margin``, ``combiner.penalty`` or ``recipe.optimizer.head_lr``. A
configuration's space is what the specs of its losses and of its combiner name, and the learning
rates of all that it trains: an ensemble's is searched as a whole, as a single loss's is. A value
that has an effect only beside some values of others has a condition (`dmlbench.plan.conditions`).
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any

from dmlbench.plan.conditions import Condition, condition_of, left_open, simplify
from dmlbench.plan.config import Component, Configuration
from dmlbench.plugins.registry import Registry

#: Tuning trials of a configuration, where nothing else is said.
BUDGET = 16
#: Apart from the seeds 0, 1, ... of a run, so no validation split decides twice.
TUNING_SEEDS = (1000,)
#: A learning rate is searched from the recipe's value divided by this to its multiple by this.
RATE_FACTOR = 10.0
#: Published optima of the learning rate of proxies reach from 7e-6 to 2e-1 (Musgrave et al. 2020).
LOSS_RATE_RANGE = (5e-6, 0.5)

_RATE = "recipe.optimizer."
_LOSS_KEY = re.compile(r"losses\[(\d+)\]\.(.+)")


def search_space(
    configuration: Configuration, registry: Registry, fixed: Collection[str] = ()
) -> dict[str, Any]:
    """What may be tried, by key: a list of choices, ``{"choices": [...]}`` or a range.

    A range is ``{"low": a, "high": b, "log": bool}``. Either table may have ``"when"``: other keys
    of the space -> the values beside which this one is tried.
    fixed: keys of values that the user gave, which are not searched.
    """
    losses = [registry.resolve("losses", loss.id).spec for loss in configuration.losses]
    combiner = configuration.combiner
    spec = registry.resolve("combiners", combiner.id).spec if combiner else None
    space: dict[str, Any] = {}
    trained: list[Condition] = []  # when the weights of a loss are trained at the rate of losses
    for index, loss in enumerate(losses):
        if configuration.losses[index] in configuration.losses[:index]:
            continue  # a copy, which has the values of the first
        owner = f"losses[{index}]."
        space |= _keyed(owner, loss.search)
        if loss.has_weights:
            trained.append({owner + name: some for name, some in loss.loss_lr_when.items()})
    if spec is not None:
        space |= _keyed("combiner.", spec.search)

    def value_of(key: str) -> Any:
        return values_of(configuration, [key])[key]

    space = simplify({k: tried for k, tried in space.items() if k not in fixed}, value_of)
    left = [left_open(when, space, value_of) for when in trained]
    conditions = [when for when in left if when is not None]
    rates = {
        "backbone_lr": not configuration.recipe.frozen,
        "head_lr": True,
        "loss_lr": bool(conditions),
        "combiner_lr": spec is not None and spec.learns,
        "auxiliary_lr": spec is not None and spec.auxiliary,
    }
    for name, used in rates.items():
        value = getattr(configuration.recipe.optimizer, name)
        if used and value > 0 and _RATE + name not in fixed:
            space[_RATE + name] = _rates_around(name, value)
            if name == "loss_lr" and len(conditions) == 1 and conditions[0]:
                space[_RATE + name]["when"] = conditions[0]
    return space


def _keyed(owner: str, search: Mapping[str, Any]) -> dict[str, Any]:
    """A spec's search by key; the parameters that conditions name become keys too."""
    space = {}
    for name, tried in search.items():
        if when := condition_of(tried):
            tried = {**tried, "when": {owner + other: list(some) for other, some in when.items()}}
        space[owner + name] = tried
    return space


def _rates_around(name: str, value: float) -> dict[str, Any]:
    low, high = (float(f"{v:.6g}") for v in (value / RATE_FACTOR, value * RATE_FACTOR))
    if name == "loss_lr":
        low, high = min(low, LOSS_RATE_RANGE[0]), max(high, LOSS_RATE_RANGE[1])
    return {"low": low, "high": high, "log": True}


def values_of(configuration: Configuration, keys: Collection[str]) -> dict[str, Any]:
    """The configuration's values of these keys; None for a parameter that it does not have."""
    found = {}
    for key in keys:
        if match := _LOSS_KEY.fullmatch(key):
            index, name = int(match[1]), match[2]
            losses = configuration.losses
            found[key] = losses[index].params.get(name) if index < len(losses) else None
        elif key.startswith(_RATE):
            found[key] = getattr(configuration.recipe.optimizer, key.removeprefix(_RATE), None)
        else:
            combiner = configuration.combiner
            found[key] = combiner.params.get(key.removeprefix("combiner.")) if combiner else None
    return found


def with_values(configuration: Configuration, values: Mapping[str, Any]) -> Configuration:
    """The configuration with the values of these keys."""
    losses, combiner = list(configuration.losses), configuration.combiner
    rates = {}
    for key, value in values.items():
        if match := _LOSS_KEY.fullmatch(key):
            for index in _copies(configuration, int(match[1])):
                losses[index] = _with(losses[index], match[2], value)
        elif key.startswith(_RATE):
            rates[key.removeprefix(_RATE)] = value
        elif combiner is not None:
            combiner = _with(combiner, key.removeprefix("combiner."), value)
    recipe = configuration.recipe
    if rates:
        optimizer = dataclasses.replace(recipe.optimizer, **rates)
        recipe = dataclasses.replace(recipe, optimizer=optimizer)
    return dataclasses.replace(
        configuration, losses=tuple(losses), combiner=combiner, recipe=recipe
    )


def fixed_identity(configuration: Configuration, keys: Collection[str]) -> dict[str, Any]:
    """The identity of the configuration without the values of these keys and what is tested."""
    identity = configuration.identity()
    # Values are scored on held-out classes, whatever is trained and tested with them.
    identity["protocol"].pop("refit", None)
    for key in keys:
        if match := _LOSS_KEY.fullmatch(key):
            for index in _copies(configuration, int(match[1])):
                identity["losses"][index]["params"].pop(match[2], None)
        elif key.startswith(_RATE):
            identity["recipe"].get("optimizer", {}).pop(key.removeprefix(_RATE), None)
        elif identity["combiner"]:
            identity["combiner"]["params"].pop(key.removeprefix("combiner."), None)
    if not identity["recipe"].get("optimizer", True):
        del identity["recipe"]["optimizer"]  # nothing is left of it that is no default
    return identity


def _copies(configuration: Configuration, index: int) -> list[int]:
    """The places of a loss and of its copies; copies are searched as one."""
    losses = configuration.losses
    return [i for i, loss in enumerate(losses) if index < len(losses) and loss == losses[index]]


def _with(component: Component, name: str, value: Any) -> Component:
    return dataclasses.replace(component, params={**component.params, name: value})
