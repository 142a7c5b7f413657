"""What an entry says of one trial: its metrics, its course, its artefacts and what it took."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.origin import check_instant
from dmlbench.leaderboard.entries.record import (
    Count,
    Fraction,
    Name,
    Record,
    Seconds,
    Sha256,
    Small,
)

# Room for the rounding of a mean of fractions.
_SLACK = 1e-9


class Metrics(Record):
    """Test metrics of one trial, as fractions: those of `dmlbench.evaluate.metrics.METRICS`.

    `recall_at` maps K (as text) to Recall@K. A metric that older entries lack is optional.

    `nmi` and `ami` are both None where the test embeddings were not clustered.
    """

    recall_at: dict[str, Fraction]
    map_at_r: Fraction
    r_precision: Fraction
    knn_accuracy: Fraction
    nmi: Fraction | None
    ami: Annotated[float, Field(ge=-1.0, le=1.0)] | None
    num_queries: Count
    num_skipped: Count

    @property
    def clustered(self) -> bool:
        """Whether the test embeddings were clustered."""
        return self.nmi is not None

    @model_validator(mode="after")
    def _consistent(self) -> Metrics:
        check_recall(self.recall_at)
        if (self.nmi is None) != (self.ami is None):
            raise ValueError("nmi and ami must both be given or both be null")
        if self.num_queries == 0:
            raise ValueError("num_queries is 0: there are no metrics without queries")
        if "1" not in self.recall_at:
            raise ValueError("recall_at lacks Recall@1")
        if self.map_at_r > self.r_precision + _SLACK:
            raise ValueError(f"MAP@R {self.map_at_r} is above R-Precision {self.r_precision}")
        for k, recall in self.recall_at.items():
            hits = recall * self.num_queries
            if abs(hits - round(hits)) > 1e-6 * max(1, self.num_queries):
                raise ValueError(f"Recall@{k} {recall} is not a whole number of {self.num_queries}")
        return self


def check_recall(recall_at: dict[str, float]) -> None:
    """Raise `ValueError` unless every K is a positive number and Recall@K does not decrease."""
    if not all(re.fullmatch("[1-9][0-9]{0,6}", k) for k in recall_at):
        raise ValueError(
            f"recall_at has a K that is not a number from 1 to 9999999: {[*recall_at]}"
        )
    ordered = [recall_at[k] for k in sorted(recall_at, key=int)]
    if any(low > high + _SLACK for low, high in zip(ordered, ordered[1:], strict=False)):
        raise ValueError(f"Recall@K decreases in K: {recall_at}")


class EpochRecord(Record):
    """One epoch: mean losses in the order of the entry's losses, weights, validation MAP@R."""

    epoch: Small
    objective: float
    losses: list[float]
    weights: list[float] | None
    validation_map_at_r: Fraction | None
    learning_rate: float


class Artefact(Record):
    """A file kept beside the leaderboard, outside git."""

    path: Name
    sha256: Sha256
    num_bytes: Count


class Cost(Record):
    """What a trial took. `peak_memory_bytes` is host memory, `peak_device_memory_bytes` CUDA's.

    train_seconds: of the wall clock, which depends on what else the machine did.
    process_seconds: processor time of the training, all threads together; None where an older
        dmlbench did not record it.
    device_seconds: seconds during which the training held its accelerator; None on a CPU.
    refit_seconds: of `train_seconds`, those of a second training; None where there was none.
    """

    train_seconds: Seconds
    process_seconds: Seconds | None = None
    device_seconds: Seconds | None = None
    refit_seconds: Seconds | None = None
    evaluate_seconds: Seconds
    peak_memory_bytes: Count
    peak_device_memory_bytes: Count


def trial_title(split: int, seed: int) -> str:
    """What a trial is called in messages: ``seed 3``, or ``seed 3 of split 1``."""
    return f"seed {seed} of split {split}" if split else f"seed {seed}"


def keys_text(keys: Iterable[tuple[int, int]]) -> str:
    """(Split, seed) pairs for a message: the seeds alone where every split is the dataset's own."""
    keys = list(keys)
    if not any(split for split, _ in keys):
        return str([seed for _, seed in keys])
    return ", ".join(trial_title(*key) for key in keys)


def trial_folder_name(split: int, seed: int) -> str:
    """The folder of a trial's files: ``seed-3``, or ``split-1-seed-3``."""
    return f"split-{split}-seed-{seed}" if split else f"seed-{seed}"


class Trial(Record):
    """One configuration on one class split with one seed.

    split: 0 for the dataset's own, n for the n-th random half of all its classes
        (`dmlbench.data.class_splits`).
    data: what a random split holds; None on the dataset's own, of which the entry says so.
    refit_history: the second training, on all training classes, of a protocol that refits.
    finished_at: when it ended, as ``2026-01-31T12:00:00Z``; None where an older dmlbench did not
        record it.
    """

    split: Small = 0
    seed: Small
    status: Literal["completed", "failed"]
    reason: str | None
    failed_step: Count | None
    best_epoch: Small | None
    validation_map_at_r: Fraction | None
    metrics: Metrics | None
    weights: list[float] | None
    history: list[EpochRecord]
    embeddings: Artefact | None
    cost: Cost
    environment: dict[str, JsonValue]
    finished_at: Annotated[str, AfterValidator(check_instant)] | None = None
    data: DatasetMetadata | None = None
    refit_history: list[EpochRecord] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Trial:
        if self.status == "completed" and self.metrics is None:
            raise ValueError(f"trial of {self.title} is completed but has no metrics")
        if self.status == "failed" and (self.metrics is not None or not self.reason):
            raise ValueError(f"trial of {self.title} failed; it needs a reason and no metrics")
        if self.split == 0 and self.data is not None:
            raise ValueError(
                f"trial of {self.title} is on the dataset's own split, of which the entry says "
                f"what it holds; it has no data of its own"
            )
        return self

    @property
    def key(self) -> tuple[int, int]:
        """Split and seed: what tells the trials of an entry apart, and pairs those of two."""
        return self.split, self.seed

    @property
    def title(self) -> str:
        """``seed 3``, or ``seed 3 of split 1`` where the split is not the dataset's own."""
        return trial_title(*self.key)

    @property
    def number(self) -> str:
        """``3``, or ``3 of split 1``: the title where a column or a text says that it is a seed."""
        return self.title.removeprefix("seed ")
