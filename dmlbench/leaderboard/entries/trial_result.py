"""What a trial leaves in its folder and hands to the process that asked for it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.record import Count, Fraction, Record, Seconds, Sha256, Small
from dmlbench.leaderboard.entries.trial import Trial


class BackboneMetadata(Record):
    """The size of a backbone; `weights_sha256` is that of pretrained weights, None from scratch."""

    num_parameters: Count
    num_features: Count
    weights_sha256: Sha256 | None


class TrialMetadata(Record):
    """What a trial found in data and model; the same for every trial of an entry.

    embedding_dim: dimension of the evaluated embedding. head_dims: of the heads it is made from.
    head_parameters: trainable parameters behind the backbone. loss_rates: the learning rate that
        each loss sets for its own parameters, None for one that sets none. Both are None in trials
        of a dmlbench that did not record them.
    """

    dataset: DatasetMetadata
    backbone: BackboneMetadata
    embedding_dim: Small
    head_dims: list[Small]
    head_parameters: Count | None = None
    loss_rates: list[Annotated[float, Field(gt=0.0)] | None] | None = None

    def differing(self, other: TrialMetadata) -> list[str]:
        """The names of the fields that differ, except those that one of the two does not have."""
        return [
            name
            for name in type(self).model_fields
            if getattr(self, name) != getattr(other, name)
            and None not in (getattr(self, name), getattr(other, name))
        ]


class TrialResult(Record):
    """A finished trial, completed or failed, with what the entry says of data and model."""

    metadata: TrialMetadata
    trial: Trial

    @model_validator(mode="before")
    @classmethod
    def _with_old_names(cls, values: Any) -> Any:
        """The metadata were called facts before 0.2."""
        if isinstance(values, dict) and "metadata" not in values and "facts" in values:
            return {("metadata" if k == "facts" else k): v for k, v in values.items()}
        return values


class ValidationResult(Record):
    """A tuning trial's training with one seed: its best validation MAP@R, or why there is none."""

    validation_map_at_r: Fraction | None
    reason: str | None
    train_seconds: Seconds
