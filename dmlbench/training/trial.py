"""One configuration, one class split, one seed: trained by one process, tested by another.

The two share a file (`dmlbench.training.trained`) and nothing else: what code of plugins did to the
process in which it trained is gone when the test images are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dmlbench.data.training_data import TrainingData
from dmlbench.data.training_phase import training_phase
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.origin import now
from dmlbench.leaderboard.entries.trial import Cost, Trial
from dmlbench.leaderboard.entries.trial_result import TrialMetadata, TrialResult, ValidationResult
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.training.build import Emit, build, training_split
from dmlbench.training.data_source import DataSource
from dmlbench.training.embed_splits import Subject
from dmlbench.training.environment import (
    describe_environment,
    peak_memory_bytes,
    reset_peak_memory,
)
from dmlbench.training.kept_weights import keep_weights
from dmlbench.training.step_values import NotFinite
from dmlbench.training.test_phase import test_phase
from dmlbench.training.train_phase import TrainPhase
from dmlbench.training.trained import check_same_data, trained_in
from dmlbench.training.trial_folder import TrialFolder


def check(configuration: Configuration, registry: Registry, data: TrainingData) -> None:
    """Build, once, everything that is built from parameters, and throw it away.

    A bad parameter or weights that cannot be fetched raise here, before any training.
    Raises `DmlbenchError`.
    """
    train, _ = training_split(configuration, data.train, seed=0)
    num_classes = len(train.class_names)
    batch = configuration.recipe.batch
    if batch.sampler == "classes" and batch.classes > num_classes:
        raise UsageError(
            f"The recipe takes {configuration.recipe.batch.classes} classes per batch, but "
            f"{configuration.dataset.id} leaves {num_classes} classes to train on (validation "
            f"holds out {configuration.protocol.validation_fraction:.0%}). "
            f"Set fewer with --set recipe.batch.classes={num_classes}."
        )
    with training_phase():
        build(configuration, registry, data, torch.device("cpu"), seed=0)


def train_trial(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    source: DataSource,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
) -> TrialResult | None:
    """Train one seed, resuming from its checkpoints, and write what the test needs of it.

    source: of the class split to train on. folder: locked by the caller, without a result.
    Gives None, or where the training failed, such as by a loss that became NaN, the recorded result
    of a trial that is "failed".
    """
    reset_peak_memory(device)
    phase = TrainPhase(configuration, seed, registry, source.training(), folder, device, emit)
    try:
        with training_phase():
            trained = phase.run()
    except TrialFailure as failure:
        if phase.metadata is None:
            raise  # nothing was built that a record could be about
        return _record(folder, source, seed, phase.metadata, device, _failed(failure))
    folder.end_if_forked()
    trained.write(folder.trained_file)
    return None


def evaluate_trial(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    source: DataSource,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
    cluster: bool = True,
    keep: bool = True,
    scoring: DataSource | None = None,
) -> TrialResult:
    """Test what `train_trial` left, by processes that have not trained; gives and records a result.

    registry, source: of the components and the class split that was trained on; used in processes
        that are forked from this one.
    scoring: gives this process the labels by which it scores, from plugins of the dataset's
        distribution alone; `source` where it is None.
    cluster: whether to compute NMI and AMI.
    keep: whether to leave the tested weights in the folder.
    Raises `DmlbenchError` where there is nothing to test, or the data are other ones than then.
    """
    scoring = source if scoring is None else scoring
    subject = Subject(configuration, registry, source, seed, device, folder)
    trained = trained_in(folder)
    try:
        outcome = test_phase(subject, scoring, trained, folder, emit, cluster)
        if keep:
            keep_weights(folder.weights_file, trained.state, outcome["embeddings"]["sha256"])
    except TrialFailure as failure:
        outcome = _failed(failure)
    check_same_data(trained, scoring.training().fingerprint)
    metadata = TrialMetadata.model_validate(dict(trained.metadata))
    peaks = trained.peak, outcome.pop("peak", {})
    return _record(folder, scoring, seed, metadata, device, outcome, peaks)


def run_validation(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    source: DataSource,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
) -> ValidationResult:
    """Train one seed and give its best validation MAP@R; the test classes are never looked at."""
    try:
        phase = TrainPhase(configuration, seed, registry, source.training(), folder, device, emit)
        with training_phase():
            progress = phase.choose().progress
        result = ValidationResult(
            validation_map_at_r=progress.best_value,
            reason=None,
            train_seconds=progress.train_seconds,
        )
    except (TrialFailure, UsageError) as failure:  # parameters that cannot be are a try too
        result = ValidationResult(validation_map_at_r=None, reason=str(failure), train_seconds=0.0)
    folder.write_result(result)
    return result


def _record(
    folder: TrialFolder,
    source: DataSource,
    seed: int,
    metadata: TrialMetadata,
    device: torch.device,
    outcome: dict[str, Any],
    peaks: Sequence[Mapping[str, int]] = (),
) -> TrialResult:
    """Write how a trial ended. peaks: of memory, in other processes."""
    peak = peak_memory_bytes(device)
    peak = {n: max(value, *(other.get(n, 0) for other in peaks), 0) for n, value in peak.items()}
    split_metadata = source.training().split_metadata
    trial = Trial(
        split=source.split,
        seed=seed,
        cost=Cost(**outcome.pop("cost"), **peak),
        environment=describe_environment(device),
        finished_at=now(),
        data=None if split_metadata is None else DatasetMetadata(**split_metadata),
        **outcome,
    )
    result = TrialResult(metadata=metadata, trial=trial)
    folder.write_result(result)
    return result


def _failed(failure: TrialFailure) -> dict[str, Any]:
    return {
        "status": "failed",
        "reason": str(failure),
        "failed_step": failure.step if isinstance(failure, NotFinite) else None,
        "best_epoch": None,
        "validation_map_at_r": None,
        "metrics": None,
        "weights": None,
        "history": [],
        "embeddings": None,
        "cost": {"train_seconds": 0.0, "evaluate_seconds": 0.0},
    }
