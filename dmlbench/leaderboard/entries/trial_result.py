"""What a trial leaves in its folder and hands to the process that asked for it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dmlbench.leaderboard.entries.dataset_facts import DatasetFacts
from dmlbench.leaderboard.entries.record import Count, Fraction, Record, Seconds, Sha256, Small
from dmlbench.leaderboard.entries.trial import Trial


class BackboneFacts(Record):
    """The size of a backbone; `weights_sha256` is that of pretrained weights, None from scratch."""

    num_parameters: Count
    num_features: Count
    weights_sha256: Sha256 | None


class TrialFacts(Record):
    """What a trial found in data and model; the same for every trial of an entry.

    embedding_dim: width of the evaluated embedding. head_dims: of the heads it is made from.
    head_parameters: trainable parameters behind the backbone. loss_rates: the learning rate that
        each loss sets for its own parameters, None for one that sets none. Both are None in trials
        of a dmlbench that did not record them.
    """

    dataset: DatasetFacts
    backbone: BackboneFacts
    embedding_dim: Small
    head_dims: list[Small]
    head_parameters: Count | None = None
    loss_rates: list[Annotated[float, Field(gt=0.0)] | None] | None = None

    def differing(self, other: TrialFacts) -> list[str]:
        """The names of the facts that differ, except those that one of the two does not have."""
        return [
            name
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
            and None not in (getattr(self, name), getattr(other, name))
        ]


class TrialResult(Record):
    """A finished trial, completed or failed, with what the entry says of data and model."""

    facts: TrialFacts
    trial: Trial


class ValidationResult(Record):
    """A tuning trial's training with one seed: its best validation MAP@R, or why there is none."""

    validation_map_at_r: Fraction | None
    reason: str | None
    train_seconds: Seconds
