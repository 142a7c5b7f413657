"""One configuration, one seed: data -> model -> train -> select -> test.

Legend: B batch, D embedding width, M losses, N test items.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from dmlbench.data.images import fingerprint, image_sets
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.evaluate.clustering import ClusteringResult, FaissMissing, clustering
from dmlbench.evaluate.metrics import metric_values
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.files import file_sha256, write_atomically
from dmlbench.leaderboard.entries.trial import Cost, Trial
from dmlbench.leaderboard.entries.trial_result import (
    DatasetFacts,
    TrialFacts,
    TrialResult,
    ValidationResult,
)
from dmlbench.plan.config import Configuration
from dmlbench.plugins.components import create_dataset
from dmlbench.plugins.registry import Registry
from dmlbench.training import heartbeat
from dmlbench.training.build import Built, Emit, build, training_split
from dmlbench.training.checkpoint import (
    DamagedCheckpoint,
    read_checkpoint,
    set_aside,
    write_checkpoint,
)
from dmlbench.training.embed import embed_images
from dmlbench.training.environment import (
    describe_environment,
    now,
    peak_memory_bytes,
    reset_peak_memory,
)
from dmlbench.training.failures import own_work
from dmlbench.training.optimizers import own_rate
from dmlbench.training.reduction import evaluated_width
from dmlbench.training.train import NotFinite, Trainer, validation_map_at_r
from dmlbench.training.trial_folder import TrialFolder


def load_data(configuration: Configuration, registry: Registry) -> Any:
    """Build the configuration's dataset, stored at the recipe's size. Raises `DmlbenchError`."""
    return create_dataset(
        registry,
        configuration.dataset.id,
        configuration.dataset.params,
        image_size=configuration.recipe.input.resize,
        whole_images=configuration.recipe.input.keep == "whole",
    )


def check(configuration: Configuration, registry: Registry, dataset: Any) -> None:
    """Build, once, everything that is built from parameters, and throw it away.

    A bad parameter or weights that cannot be fetched raise here, before any training.
    Raises `DmlbenchError`.
    """
    train, _ = training_split(configuration, dataset.train, seed=0)
    num_classes = len(train.class_names)
    batch = configuration.recipe.batch
    if batch.sampler == "classes" and batch.classes > num_classes:
        raise UsageError(
            f"The recipe takes {configuration.recipe.batch.classes} classes a batch, but "
            f"{configuration.dataset.id} leaves {num_classes} classes to train on (validation "
            f"holds out {configuration.protocol.validation_fraction:.0%}). "
            f"Set fewer with --set recipe.batch.classes={num_classes}."
        )
    build(configuration, registry, dataset, torch.device("cpu"), seed=0)


def run_trial(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    dataset: Any,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
    cluster: bool = True,
) -> TrialResult:
    """Train and test one seed, going on from its checkpoint; gives and records its result.

    folder: locked by the caller, without a result.
    cluster: whether to compute NMI and AMI.
    A loss that becomes NaN gives a result whose trial is "failed".
    """
    reset_peak_memory(device)
    built = build(configuration, registry, dataset, device, seed, emit)
    facts = _facts(built, dataset)
    try:
        trainer = _train(configuration, seed, built, dataset, facts, folder, emit)
        outcome = _test(configuration, built, trainer, dataset, folder, cluster)
    except TrialFailure as failure:
        outcome = _failed(failure)
    cost = {**outcome.pop("cost"), **peak_memory_bytes(device)}
    trial = Trial(
        seed=seed,
        cost=Cost(**cost),
        environment=describe_environment(device),
        finished_at=now(),
        **outcome,
    )
    result = TrialResult(facts=facts, trial=trial)
    folder.write_result(result)
    return result


def run_validation(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    dataset: Any,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
) -> ValidationResult:
    """Train one seed and give its best validation MAP@R; the test classes are never looked at."""
    try:
        built = build(configuration, registry, dataset, device, seed, emit)
        facts = _facts(built, dataset)
        progress = _train(configuration, seed, built, dataset, facts, folder, emit).progress
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
    dataset: Any,
    facts: TrialFacts,
    folder: TrialFolder,
    emit: Emit,
) -> Trainer:
    """Train to the end, a checkpoint after every epoch, and restore the best state."""
    recipe, parts = configuration.recipe, built.parts
    images = built.images("train", dataset.train)
    train, held_out = training_split(configuration, images, seed)
    similarity = configuration.protocol.similarity
    trainer = Trainer(
        parts, recipe, train, seed, lambda: validation_map_at_r(parts, recipe, held_out, similarity)
    )
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
    trainer.restore_best()
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


def _test(
    configuration: Configuration,
    built: Built,
    trainer: Trainer,
    dataset: Any,
    folder: TrialFolder,
    cluster: bool,
) -> dict[str, Any]:
    """See the test classes, once, and score them; without `cluster`, NMI and AMI are None."""
    parts = built.parts
    sets = {
        name: built.images(name, images) for name, images in image_sets(dataset) if name != "train"
    }
    started = time.perf_counter()
    embeddings = embed_images(parts, configuration.recipe, sets["test"])
    tensors = {"embeddings": embeddings, "labels": torch.as_tensor(dataset.test.labels)}
    gallery: dict[str, Any] = {}
    if dataset.gallery is not None:
        gallery["gallery"] = embed_images(parts, configuration.recipe, sets["gallery"])
        gallery["gallery_labels"] = dataset.gallery.labels
        tensors["gallery"] = gallery["gallery"]
        tensors["gallery_labels"] = torch.as_tensor(dataset.gallery.labels)
    _require_finite(tensors)
    heartbeat.enter("computing metrics", patient=True)
    scores = retrieval(
        embeddings,
        dataset.test.labels,
        ks=configuration.protocol.recall_at,
        metric=configuration.protocol.similarity,
        device=parts.device,
        **gallery,
    )
    clusters = None
    if cluster:
        clusters = _cluster(embeddings, dataset.test.labels, configuration.protocol.similarity)
    content = safetensors.torch.save(tensors)
    write_atomically(folder.embeddings_file, lambda file: file.write(content))
    with own_work():
        weights = parts.combiner.weights()
    return {
        "status": "completed",
        "reason": None,
        "failed_step": None,
        "best_epoch": trainer.progress.best_epoch,
        "validation_map_at_r": trainer.progress.best_value,
        "metrics": metric_values(scores, clusters),
        "weights": None if weights is None else weights.double().tolist(),
        "history": trainer.progress.history,
        "embeddings": {
            "path": str(folder.embeddings_file.relative_to(folder.out)),
            "sha256": file_sha256(folder.embeddings_file),
            "num_bytes": folder.embeddings_file.stat().st_size,
        },
        "cost": {
            **_training_cost(trainer),
            "evaluate_seconds": time.perf_counter() - started,
        },
    }


def _training_cost(trainer: Trainer) -> dict[str, float | None]:
    """Wall clock and processor seconds, and those for which an accelerator was held."""
    progress = trainer.progress
    return {
        "train_seconds": progress.train_seconds,
        "process_seconds": progress.process_seconds,
        "device_seconds": None if trainer.parts.device.type == "cpu" else progress.train_seconds,
    }


def _cluster(embeddings: Tensor, labels: Any, similarity: str) -> ClusteringResult | None:
    """The quality of clusters, None where faiss is missing."""
    try:
        return clustering(embeddings, labels, metric=similarity)
    except FaissMissing:
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


def _require_finite(tensors: Mapping[str, Tensor]) -> None:
    for name in ("embeddings", "gallery"):
        if name in tensors and not bool(tensors[name].isfinite().all()):
            raise TrialFailure(f"the test {name} are not finite, although every loss was")


def _facts(built: Built, dataset: Any) -> TrialFacts:
    """What the entry says of data and model; the same for every seed."""
    parts = built.parts
    blank = torch.zeros(1, parts.model.backbone.num_features, device=parts.device)
    heads = parts.model.embed(blank)
    return TrialFacts(
        dataset=DatasetFacts(
            fingerprint=fingerprint(dataset),
            num_train_classes=len(dataset.train.class_names),
            num_train_images=len(dataset.train.labels),
            num_test_classes=len(dataset.test.class_names),
            num_test_images=len(dataset.test.labels),
            num_gallery_images=len(dataset.gallery.labels) if dataset.gallery else 0,
            report=list(dataset.report),
        ),
        backbone=built.backbone_facts,
        embedding_dim=evaluated_width(parts.combiner, heads),
        head_dims=[head.shape[1] for head in heads],
        head_parameters=parts.head_parameters(),
        loss_rates=[own_rate(loss) for loss in parts.losses],
    )
