"""Configurations and protocols: what is trained and compared, in a canonical form with a hash."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dmlbench.errors import UsageError
from dmlbench.plan.identity import (
    canonical_json,
    field_defaults,
    one_form,
    sha256_of,
    without_defaults,
)
from dmlbench.plan.recipe import Recipe
from dmlbench.plan.writing import row_name

PROTOCOL = "zsl-v1"


#: `Protocol.similarity` -> the rule in words.
_EMBEDDING = {
    "cosine": "L2-normalised, cosine similarity",
    "euclidean": "as it is, Euclidean distance",
}


def similarity_of(rules: Mapping[str, Any]) -> str:
    """How an entry's embeddings are compared; "cosine" where its rules know no other way."""
    return str(rules.get("similarity", "cosine"))


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What makes entries comparable. Its hash is part of every entry.

    width: "fair" fixes the width of the evaluated embedding whatever the combiner; "paper" gives
        every head of an ensemble the full width, so M losses are M times as wide.
    validation_fraction: share of the training classes held out to choose the checkpoint.
    recall_at: the K of Recall@K.
    similarity: "cosine" of embeddings brought to unit length, or "euclidean" to compare them as
        they are, the nearer the more similar.
    """

    name: str = PROTOCOL
    width: Literal["fair", "paper"] = "fair"
    validation_fraction: float = 0.2
    recall_at: tuple[int, ...] = (1, 2, 4, 8)
    similarity: Literal["cosine", "euclidean"] = "cosine"

    def __post_init__(self) -> None:
        if self.width not in ("fair", "paper"):
            raise UsageError(f"protocol.width must be fair or paper, not {self.width!r}.")
        if self.similarity not in _EMBEDDING:
            raise UsageError(
                f"protocol.similarity must be cosine or euclidean, not {self.similarity!r}."
            )
        if not 0 < self.validation_fraction < 1:
            raise UsageError(
                f"protocol.validation_fraction must be between 0 and 1: {self.validation_fraction}."
            )

    def to_json(self) -> dict[str, Any]:
        """Every rule, spelled out, so the hash covers what the name stands for."""
        return {
            "name": self.name,
            "width": self.width,
            "validation_fraction": self.validation_fraction,
            "recall_at": list(self.recall_at),
            "test_classes": "disjoint from training; seen once a trial, after training",
            "selection": "checkpoint with the best MAP@R on held-out training classes",
            "selection_classes": "drawn by the trial's seed",
            "embedding": _EMBEDDING[self.similarity],
            "ties": "equal similarities count against the query",
            "knn_neighbours": 3,
            "clustering": "faiss k-means, k = test classes; arithmetic NMI and AMI",
            # Entries from before there was another way do not say.
            **({} if self.similarity == "cosine" else {"similarity": self.similarity}),
        }

    def identity(self) -> dict[str, Any]:
        """The name, which stands for all rules in words, and the values that are no defaults."""
        values = without_defaults(dataclasses.asdict(self), field_defaults(Protocol))
        return {**values, "name": self.name}

    @property
    def sha256(self) -> str:
        return sha256_of(self.to_json())


@dataclass(frozen=True, kw_only=True)
class Component:
    """A chosen plugin component with its resolved parameters (JSON values).

    defaults: of its parameters, as its plugin has them; those at their default are no part of the
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

    rules = value["protocol"]
    combiner = value["combiner"]
    return Configuration(
        losses=tuple(Component(**loss) for loss in value["losses"]),
        combiner=Component(**combiner) if combiner else None,
        dataset=Component(**value["dataset"]),
        backbone=Component(**value["backbone"]),
        recipe=recipe_from_json(value["recipe"]),
        protocol=Protocol(
            name=rules["name"],
            width=rules["width"],
            validation_fraction=rules["validation_fraction"],
            recall_at=tuple(rules["recall_at"]),
            similarity=similarity_of(rules),
        ),
    )
