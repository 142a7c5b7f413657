"""Configurations: what is trained and compared, in a canonical form with a hash."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.plan.identity import (
    canonical_json,
    field_defaults,
    one_form,
    sha256_of,
    without_defaults,
)
from dmlbench.plan.protocol import Protocol, protocol_from_json
from dmlbench.plan.recipe import Recipe
from dmlbench.plan.writing import row_name


@dataclass(frozen=True, kw_only=True)
class Component:
    """A chosen plugin component with its resolved parameters (JSON values).

    defaults: of its parameters, as its plugin has them; those at their default are not part of the
        identity.
    """

    distribution: str
    name: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    defaults: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def id(self) -> str:
        return f"{self.distribution}:{self.name}"

    def to_json(self) -> dict[str, Any]:
        # A round trip turns tuples into lists, so one value has one form.
        params = json.loads(canonical_json(dict(self.params)))
        return {"distribution": self.distribution, "name": self.name, "params": params}

    def identity(self) -> dict[str, Any]:
        """The canonical form without the parameters that have their default."""
        # The same round trip for both, so a tuple and a list are equal.
        params = without_defaults(one_form(self.params), one_form(self.defaults))
        return {"distribution": self.distribution, "name": self.name, "params": params}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One row of a leaderboard: losses + combiner + dataset + backbone + recipe + protocol.

    combiner: None for a single loss.
    """

    losses: tuple[Component, ...]
    combiner: Component | None
    dataset: Component
    backbone: Component
    recipe: Recipe
    protocol: Protocol

    def __post_init__(self) -> None:
        if not self.losses:
            raise UsageError("A configuration needs at least one loss.")
        if self.combiner is None and len(self.losses) > 1:
            raise UsageError("Several losses need a combiner.")

    def to_json(self) -> dict[str, Any]:
        recipe = self.recipe.to_json()
        del recipe["summary"]
        return {
            "losses": [loss.to_json() for loss in self.losses],
            "combiner": self.combiner.to_json() if self.combiner else None,
            "dataset": self.dataset.to_json(),
            "backbone": self.backbone.to_json(),
            "recipe": recipe,
            "protocol": self.protocol.to_json(),
        }

    def identity(self) -> dict[str, Any]:
        """The canonical form without what has its default value."""
        recipe = without_defaults(self.recipe.to_json(), field_defaults(Recipe))
        recipe.pop("summary", None)
        return {
            "losses": [loss.identity() for loss in self.losses],
            "combiner": self.combiner.identity() if self.combiner else None,
            "dataset": self.dataset.identity(),
            "backbone": self.backbone.identity(),
            "recipe": recipe,
            "protocol": self.protocol.identity(),
        }

    @property
    def entry_id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the identity."""
        return sha256_of(self.identity())[:16]

    def label(self) -> str:
        """A short name for progress and messages, such as ``wedl(triplet + multi-similarity)``."""
        return row_name(
            self.combiner.name if self.combiner else None, [loss.name for loss in self.losses]
        )


def configuration_from_json(value: Mapping[str, Any]) -> Configuration:
    """The configuration whose `Configuration.to_json` gave `value`."""
    from dmlbench.plan.recipe import recipe_from_json

    combiner = value["combiner"]
    return Configuration(
        losses=tuple(Component(**loss) for loss in value["losses"]),
        combiner=Component(**combiner) if combiner else None,
        dataset=Component(**value["dataset"]),
        backbone=Component(**value["backbone"]),
        recipe=recipe_from_json(value["recipe"]),
        protocol=protocol_from_json(value["protocol"]),
    )
