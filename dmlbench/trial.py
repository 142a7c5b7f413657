"""One configuration, one seed: data -> model -> train -> select -> test.

Legend: B batch, D embedding width, M losses, N test items.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from dmlbench.components import create, create_dataset
from dmlbench.config import Configuration
from dmlbench.data.images import ImageSet, fingerprint
from dmlbench.data.split import hold_out_classes
from dmlbench.data.subset import subset
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.embed import embed_images
from dmlbench.environment import describe_environment, peak_memory_bytes, reset_peak_memory
from dmlbench.errors import DmlbenchError, TrialFailure, UsageError
from dmlbench.evaluate.clustering import FaissMissing, clustering
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.model import EmbeddingModel
from dmlbench.plugins import load_target
from dmlbench.registry import Registry
from dmlbench.train import NotFinite, Parts, Trainer, validation_map_at_r
from dmlbench.workspace import TrialFolder, file_sha256, write_atomically

Emit = Callable[[str, Mapping[str, Any]], None]


def load_data(configuration: Configuration, registry: Registry) -> Any:
    """Build the configuration's dataset, stored at the recipe's size. Raises `DmlbenchError`."""
    return create_dataset(
        registry,
        configuration.dataset.id,
        configuration.dataset.params,
        image_size=configuration.recipe.input.resize,
    )


def check(configuration: Configuration, registry: Registry, dataset: Any) -> None:
    """Build, once, everything that is built from parameters, and throw it away.

    A bad parameter or weights that cannot be fetched raise here, before any training.
    Raises `DmlbenchError`.
    """
    train, _ = _training_split(configuration, dataset.train, seed=0)
    num_classes = len(train.class_names)
    if configuration.recipe.batch.classes > num_classes:
        raise UsageError(
            f"The recipe takes {configuration.recipe.batch.classes} classes a batch, but "
            f"{configuration.dataset.id} leaves {num_classes} classes to train on (validation "
            f"holds out {configuration.protocol.validation_fraction:.0%}). "
            f"Set fewer with --set recipe.batch.classes={num_classes}."
        )
    _build(configuration, registry, dataset, torch.device("cpu"), seed=0)


def run_trial(
    configuration: Configuration,
    seed: int,
    registry: Registry,
    dataset: Any,
    folder: TrialFolder,
    device: torch.device,
    emit: Emit,
    cluster: bool = True,
) -> dict[str, Any]:
    """Train and test one seed, going on from its checkpoint; gives and records its result.

    cluster: whether to compute NMI and AMI.
    The result is ``{"facts": ..., "trial": ...}``, JSON values. A loss that becomes NaN gives a
    result whose trial is "failed".
    """
    with folder.locked():
        finished = folder.read_result()
        if finished is not None:
            return finished
        reset_peak_memory(device)
        parts, weights_sha256 = _build(configuration, registry, dataset, device, seed)
        try:
            trainer = _train(configuration, seed, parts, dataset, folder, emit)
            outcome = _test(configuration, parts, trainer, dataset, folder, cluster)
        except TrialFailure as failure:
            outcome = _failed(failure)
        result = {
            "facts": _facts(parts, dataset, weights_sha256),
            "trial": {
                "seed": seed,
                **outcome,
                "environment": describe_environment(device),
            },
        }
        result["trial"]["cost"].update(peak_memory_bytes(device))
        folder.write_result(result)
        return result


def _train(
    configuration: Configuration,
    seed: int,
    parts: Parts,
    dataset: Any,
    folder: TrialFolder,
    emit: Emit,
) -> Trainer:
    """Train to the end, a checkpoint after every epoch, and restore the best state."""
    recipe = configuration.recipe
    train, held_out = _training_split(configuration, dataset.train, seed)
    trainer = Trainer(
        parts, recipe, train, seed, lambda: validation_map_at_r(parts, recipe, held_out)
    )
    if folder.checkpoint_file.exists():
        state = torch.load(folder.checkpoint_file, map_location=parts.device, weights_only=True)
        trainer.load_state_dict(state)
    emit("trial_started", {"epoch": trainer.progress.epoch, "epochs": recipe.epochs})
    for record in trainer.run():
        write_atomically(
            folder.checkpoint_file, lambda file: torch.save(trainer.state_dict(), file)
        )
        emit("epoch_finished", record)
    trainer.restore_best()
    return trainer


def _test(
    configuration: Configuration,
    parts: Parts,
    trainer: Trainer,
    dataset: Any,
    folder: TrialFolder,
    cluster: bool,
) -> dict[str, Any]:
    """See the test classes, once, and score them; without `cluster`, NMI and AMI are None."""
    started = time.perf_counter()
    embeddings = embed_images(parts, configuration.recipe, dataset.test)
    tensors = {"embeddings": embeddings, "labels": torch.as_tensor(dataset.test.labels)}
    gallery: dict[str, Any] = {}
    if dataset.gallery is not None:
        gallery["gallery"] = embed_images(parts, configuration.recipe, dataset.gallery)
        gallery["gallery_labels"] = dataset.gallery.labels
        tensors["gallery"] = gallery["gallery"]
        tensors["gallery_labels"] = torch.as_tensor(dataset.gallery.labels)
    _require_finite(tensors)
    scores = retrieval(
        embeddings,
        dataset.test.labels,
        ks=configuration.protocol.recall_at,
        device=parts.device,
        **gallery,
    )
    nmi, ami = _cluster(embeddings, dataset.test.labels) if cluster else (None, None)
    content = safetensors.torch.save(tensors)
    write_atomically(folder.embeddings_file, lambda file: file.write(content))
    weights = parts.combiner.weights()
    return {
        "status": "completed",
        "reason": None,
        "failed_step": None,
        "best_epoch": trainer.progress.best_epoch,
        "validation_map_at_r": trainer.progress.best_value,
        "metrics": {
            "recall_at": {str(k): value for k, value in scores.recall_at.items()},
            "map_at_r": scores.map_at_r,
            "r_precision": scores.r_precision,
            "knn_accuracy": scores.knn_accuracy,
            "nmi": nmi,
            "ami": ami,
            "num_queries": scores.num_queries,
            "num_skipped": scores.num_skipped,
        },
        "weights": None if weights is None else weights.double().tolist(),
        "history": trainer.progress.history,
        "embeddings": {
            "path": str(folder.embeddings_file.relative_to(folder.out)),
            "sha256": file_sha256(folder.embeddings_file),
            "num_bytes": folder.embeddings_file.stat().st_size,
        },
        "cost": {
            "train_seconds": trainer.progress.train_seconds,
            "evaluate_seconds": time.perf_counter() - started,
        },
    }


def _cluster(embeddings: Tensor, labels: Any) -> tuple[float | None, float | None]:
    """NMI and AMI, None where faiss is missing."""
    try:
        found = clustering(embeddings, labels)
    except FaissMissing:
        return None, None
    return found.nmi, found.ami


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


def _facts(parts: Parts, dataset: Any, weights_sha256: str | None) -> dict[str, Any]:
    """What the entry says of data and model; the same for every seed."""
    test_names = dataset.test.class_names
    blank = torch.zeros(1, parts.model.backbone.num_features, device=parts.device)
    heads = parts.model.embed(blank)
    return {
        "dataset": {
            "fingerprint": fingerprint(dataset),
            "num_train_classes": len(dataset.train.class_names),
            "num_train_images": len(dataset.train.labels),
            "num_test_classes": len(test_names),
            "num_test_images": len(dataset.test.labels),
            "num_gallery_images": len(dataset.gallery.labels) if dataset.gallery else 0,
            "report": list(dataset.report),
        },
        "backbone": {
            "num_parameters": sum(p.numel() for p in parts.model.backbone.parameters()),
            "num_features": parts.model.backbone.num_features,
            "weights_sha256": weights_sha256,
        },
        "embedding_dim": parts.combiner.embed(heads).shape[1],
        "head_dims": [head.shape[1] for head in heads],
    }


def _training_split(
    configuration: Configuration, train: ImageSet, seed: int
) -> tuple[ImageSet, ImageSet]:
    """Training classes apart from those held out for selection, drawn by the seed."""
    kept, held_out = hold_out_classes(
        train.labels, configuration.protocol.validation_fraction, seed
    )
    return subset(train, kept), subset(train, held_out)


def _build(
    configuration: Configuration,
    registry: Registry,
    dataset: Any,
    device: torch.device,
    seed: int,
) -> tuple[Parts, str | None]:
    """Model, losses and combiner with the seed's initial weights, and the transforms."""
    recipe, protocol = configuration.recipe, configuration.protocol
    torch.manual_seed(seed)
    backbone = _component(
        registry, "backbones", configuration.backbone, image_size=recipe.input.size
    )
    pretrained = bool(configuration.backbone.params.get("pretrained"))
    weights_sha256 = _weights_sha256(backbone) if pretrained else None
    combiner_id = configuration.combiner.id if configuration.combiner else "dmlbench:sum"
    combiner_params = configuration.combiner.params if configuration.combiner else {}
    item = registry.resolve("combiners", combiner_id)
    num_losses = len(configuration.losses)
    try:
        head_dims = load_target(item.spec.target, item.distribution).head_dims(
            recipe.embedding_dim, num_losses, protocol.width
        )
    except ValueError as error:
        raise UsageError(f"combiner {item.id}: {error}.") from error
    combiner = create(
        item,
        combiner_params,
        num_losses=num_losses,
        head_dims=head_dims,
        embedding_dim=recipe.embedding_dim,
    )
    train, _ = _training_split(configuration, dataset.train, seed)
    num_classes = len(train.class_names)
    dims = head_dims * num_losses if len(head_dims) == 1 else head_dims
    losses = [
        _component(registry, "losses", loss, num_classes=num_classes, embedding_dim=dim)
        for loss, dim in zip(configuration.losses, dims, strict=True)
    ]
    parts = Parts(
        model=EmbeddingModel(backbone, head_dims),
        losses=nn.ModuleList(losses),
        loss_names=[loss.name for loss in configuration.losses],
        combiner=combiner,
        train_transform=TrainTransform(
            recipe.augment, recipe.input.size, backbone.mean, backbone.std
        ),
        test_transform=TestTransform(recipe.input.size, backbone.mean, backbone.std),
        device=device,
    )
    for module in parts.modules().values():
        module.to(device)
    if recipe.channels_last:
        parts.model.backbone.to(memory_format=torch.channels_last)
    return parts, weights_sha256


def _component(registry: Registry, kind: str, component: Any, **offers: Any) -> nn.Module:
    built = create(registry.resolve(kind, component.id), component.params, **offers)
    if not isinstance(built, nn.Module):
        raise DmlbenchError(
            f"{component.id} must build a torch.nn.Module, not {type(built).__name__}; "
            f"tell its authors"
        )
    return built


def _weights_sha256(backbone: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and bytes of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
