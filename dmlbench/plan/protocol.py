"""Protocols: the rules that make entries comparable, each with a name and a hash.

New trials follow the newest. Entries of older ones are read, checked and shown under theirs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dmlbench.errors import UsageError
from dmlbench.plan.identity import field_defaults, sha256_of, without_defaults

PROTOCOL = "zsl-v2"
"""What new trials follow."""

#: Older protocol -> what it did not guard against, for its boards.
NOT_GUARDED = {
    "zsl-v1": (
        "its trials held the test images while they trained, and embedded them in the "
        "order of their classes without a look at whether an embedding depends on its batch"
    ),
}

#: `Protocol.similarity` -> the rule in words.
_EMBEDDING = {
    "cosine": "L2-normalised, cosine similarity",
    "euclidean": "as it is, Euclidean distance",
}

#: `Protocol.refit` -> what is tested, in words.
_SELECTION = {
    False: "checkpoint with the best MAP@R on held-out training classes",
    True: (
        "number of epochs with the best MAP@R on held-out training classes; then a second training "
        "from scratch on all training classes for as many epochs, each at the learning rates that "
        "it had in the first; its last state"
    ),
}

PROTOCOLS = (*NOT_GUARDED, PROTOCOL)


def caution(protocol: str) -> str | None:
    """Why rows of an older protocol are not to be relied on; None for those of the newest."""
    if protocol not in NOT_GUARDED:
        return None
    return f"do not rely on rows of {protocol}: {NOT_GUARDED[protocol]}; `run` follows {PROTOCOL}"


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What makes entries comparable. Its hash is part of every entry.

    dim_budget: "total" gives an ensemble's evaluated embedding the dimension of a single loss's;
        "per-loss" gives every head that dimension, so M losses have M times as many.
    validation_fraction: share of the training classes held out to choose the checkpoint.
    recall_at: the K of Recall@K.
    similarity: "cosine" of embeddings brought to unit length, or "euclidean" to compare them as
        they are, the nearer the more similar.
    transductive: whether an embedding may depend on the other images of its batch, as the specs of
        the components say.
    refit: whether to test what a second training on all training classes gives, for as many epochs
        as the best state of the training without the held-out ones had, instead of that state.
    """

    name: str = PROTOCOL
    dim_budget: Literal["total", "per-loss"] = "total"
    validation_fraction: float = 0.2
    recall_at: tuple[int, ...] = (1, 2, 4, 8)
    similarity: Literal["cosine", "euclidean"] = "cosine"
    transductive: bool = False
    refit: bool = False

    def __post_init__(self) -> None:
        if self.name not in PROTOCOLS:
            raise UsageError(
                f"The protocol {self.name!r} is not known here; known: {', '.join(PROTOCOLS)}."
            )
        if self.dim_budget not in ("total", "per-loss"):
            raise UsageError(
                f"protocol.dim_budget must be total or per-loss, not {self.dim_budget!r}."
            )
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
            **self._dimension_rule(),
            "validation_fraction": self.validation_fraction,
            "recall_at": list(self.recall_at),
            "selection": _SELECTION[self.refit],
            "selection_classes": "drawn by the trial's seed",
            "embedding": _EMBEDDING[self.similarity],
            "ties": "equal similarities count against the query",
            "knn_neighbours": 3,
            "clustering": "faiss k-means, k = test classes; arithmetic NMI and AMI",
            # Rules from before there was another way do not say.
            **({} if self.similarity == "cosine" else {"similarity": self.similarity}),
            **({"refit": True} if self.refit else {}),
            **(self._since_v2() if self.name != "zsl-v1" else _OF_V1),
        }

    def _dimension_rule(self) -> dict[str, str]:
        if self.name == "zsl-v1":
            return {"width": _WIDTH_OF_V1[self.dim_budget]}
        return {"dim_budget": self.dim_budget}

    def _since_v2(self) -> dict[str, Any]:
        return {
            "test_classes": "disjoint from training; loaded once a trial, after training has ended",
            "embedding_order": "drawn by the trial's seed",
            "transductive": self.transductive,
            "embedding_context": "the batch"
            if self.transductive
            else "none: a sample is embedded again one at a time, by a network built anew",
            "failed_trials": "count as zero in every mean that ranks",
        }

    def identity(self) -> dict[str, Any]:
        """The name, which stands for all rules in words, and the values that are no defaults."""
        values = without_defaults(dataclasses.asdict(self), field_defaults(Protocol))
        if values.pop("dim_budget", None):
            values |= self._dimension_rule()
        return {**values, "name": self.name}

    @property
    def sha256(self) -> str:
        return sha256_of(self.to_json())


#: `Protocol.dim_budget` -> what the rules of zsl-v1 call it, under "width".
_WIDTH_OF_V1 = {"total": "fair", "per-loss": "paper"}
_OF_V1 = {"test_classes": "disjoint from training; seen once a trial, after training"}


def similarity_of(rules: Mapping[str, Any]) -> str:
    """How an entry's embeddings are compared; "cosine" where its rules know no other way."""
    return str(rules.get("similarity", "cosine"))


def dim_budget_of(rules: Mapping[str, Any]) -> Any:
    """`Protocol.dim_budget` as an entry's rules state it, those of zsl-v1 too; not validated."""
    if rules.get("name") != "zsl-v1":
        return rules.get("dim_budget")
    width = rules.get("width")
    return next((new for new, old in _WIDTH_OF_V1.items() if old == width), width)


def refits(rules: Mapping[str, Any]) -> bool:
    """Whether an entry's trials were trained a second time, on all training classes."""
    return rules.get("refit") is True


def protocol_from_json(rules: Mapping[str, Any]) -> Protocol:
    """The protocol whose `Protocol.to_json` gave `rules`.

    Raises `KeyError` or `TypeError` where they lack a value, and `UsageError` where one cannot be.
    """
    return Protocol(
        name=rules["name"],
        dim_budget=dim_budget_of(rules),
        validation_fraction=rules["validation_fraction"],
        recall_at=tuple(rules["recall_at"]),
        similarity=similarity_of(rules),
        **({} if rules["name"] == "zsl-v1" else _read_since_v2(rules)),
    )


def _read_since_v2(rules: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "transductive": rules["transductive"],
        "refit": refits(rules),
    }
