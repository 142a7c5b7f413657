"""One configuration, one class split, one seed: training data -> model -> train -> select -> test.

The two phases share a state dict and nothing else: what training built is gone before the test
images are loaded, and the test builds the chosen state anew.
"""

from __future__ import annotations

from typing import Any

import torch

from dmlbench.data.training_data import TrainingData
from dmlbench.data.training_phase import training_phase
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.leaderboard.entries.dataset_facts import DatasetFacts
from dmlbench.leaderboard.entries.trial import Cost, Trial
from dmlbench.leaderboard.entries.trial_result import (
    TrialFacts,
    TrialResult,
    ValidationResult,
)
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.training import heartbeat
from dmlbench.training.build import Built, Emit, build, training_split
from dmlbench.training.checkpoint import (
    DamagedCheckpoint,
    read_checkpoint,
    set_aside,
    write_checkpoint,
)
from dmlbench.training.data_source import DataSource
from dmlbench.training.embed_splits import Subject
from dmlbench.training.environment import (
    describe_environment,
    now,
    peak_memory_bytes,
    reset_peak_memory,
)
from dmlbench.training.optimizers import own_rate
from dmlbench.training.random_states import generator_for
from dmlbench.training.reduction import evaluated_width, fit_reduction
from dmlbench.training.test_phase import test_phase
from dmlbench.training.train import NotFinite, Trainer, validation_map_at_r
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
            f"The recipe takes {configuration.recipe.batch.classes} classes a batch, but "
            f"{configuration.dataset.id} leaves {num_classes} classes to train on (validation "
            f"holds out {configuration.protocol.validation_fraction:.0%}). "
            f"Set fewer with --set recipe.batch.classes={num_classes}."
        )
    with training_phase():
        build(configuration, registry, data, torch.device("cpu"), seed=0)


def run_trial(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    source: DataSource,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
    cluster: bool = True,
) -> TrialResult:
    """Train and test one seed, going on from its checkpoint; gives and records its result.

    source: of the class split that is trained on; gives the test images once training has ended.
    folder: locked by the caller, without a result.
    cluster: whether to compute NMI and AMI.
    A loss that becomes NaN gives a result whose trial is "failed".
    """
    reset_peak_memory(device)
    data, facts = source.training(), None
    try:
        with training_phase():
            built = build(configuration, registry, data, device, seed, emit)
            facts = _facts(built, data)
            trainer = _train(configuration, seed, built, data, facts, folder, emit)
            progress = trainer.progress
            fit_reduction(trainer.parts, trainer.recipe, trainer.train_set, progress.best_state)
        del built, trainer
        subject = Subject(configuration, registry, data, seed, device, progress.best_state)
        heartbeat.enter("loading data", patient=True)
        dataset = source.whole()
        heartbeat.enter("embedding the test images")
        outcome = test_phase(subject, dataset, progress, folder, emit, cluster)
    except TrialFailure as failure:
        if facts is None:
            raise  # nothing was built that a record could be about
        outcome = _failed(failure)
    cost = {**outcome.pop("cost"), **peak_memory_bytes(device)}
    split_facts = data.split_facts
    trial = Trial(
        split=source.split,
        seed=seed,
        cost=Cost(**cost),
        environment=describe_environment(device),
        finished_at=now(),
        data=None if split_facts is None else DatasetFacts(**split_facts),
        **outcome,
    )
    result = TrialResult(facts=facts, trial=trial)
    folder.write_result(result)
    return result


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
        data = source.training()
        with training_phase():
            built = build(configuration, registry, data, device, seed, emit)
            facts = _facts(built, data)
            progress = _train(configuration, seed, built, data, facts, folder, emit).progress
        result = ValidationResult(
            validation_map_at_r=progress.best_value,
            reason=None,
            train_seconds=progress.train_seconds,
        )
    except (TrialFailure, UsageError) as failure:  # parameters that cannot be are a try too
        result = ValidationResult(validation_map_at_r=None, reason=str(failure), train_seconds=0.0)
    folder.write_result(result)
    return result


def _train(
    configuration: Configuration,
    seed: int,
    built: Built,
    data: TrainingData,
    facts: TrialFacts,
    folder: TrialFolder,
    emit: Emit,
) -> Trainer:
    """Train to the end, a checkpoint after every epoch; gives the trainer, which has the rest."""
    recipe, parts = configuration.recipe, built.parts
    images = built.images("train", data.train)
    train, held_out = training_split(configuration, images, seed)

    def validate(epoch: int) -> float:
        generator = generator_for(seed, f"validation {epoch}")
        return validation_map_at_r(parts, recipe, held_out, generator, configuration.protocol)

    trainer = Trainer(parts, recipe, train, seed, validate)
    state = _checkpoint_of(folder, facts, parts.device)
    if state is not None:
        trainer.load_state_dict(state)
    emit("trial_started", {"epoch": trainer.progress.epoch, "epochs": recipe.epochs})
    for record in trainer.run():
        folder.end_if_forked()
        write_checkpoint(
            folder.checkpoint_file, {**trainer.state_dict(), "facts": facts.model_dump()}
        )
        emit("epoch_finished", record)
    return trainer


def _checkpoint_of(
    folder: TrialFolder, facts: TrialFacts, device: torch.device
) -> dict[str, Any] | None:
    """The state to go on from, or None where there is none, of these data and weights, in order."""
    try:
        state = read_checkpoint(folder.checkpoint_file, device)
    except DamagedCheckpoint as error:
        print(f"{error}; it is kept as {set_aside(folder.checkpoint_file)}, and training begins")
        return None
    if state is None or state.pop("facts") == facts.model_dump():
        return state
    print("the data or the weights have changed since the checkpoint; training from the start")
    return None


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


def _facts(built: Built, data: TrainingData) -> TrialFacts:
    """What the entry says of data and model; the same for every seed."""
    parts = built.parts
    blank = torch.zeros(1, parts.model.backbone.num_features, device=parts.device)
    heads = parts.model.embed(blank)
    return TrialFacts(
        dataset=DatasetFacts(**data.facts),
        backbone=built.backbone_facts,
        embedding_dim=evaluated_width(parts.combiner, heads),
        head_dims=[head.shape[1] for head in heads],
        head_parameters=parts.head_parameters(),
        loss_rates=[own_rate(loss) for loss in parts.losses],
    )
