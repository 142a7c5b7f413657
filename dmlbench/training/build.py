"""What a trial trains: model, losses and combiner of a configuration, with a seed's weights.

Legend: F feature dimension, M losses.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.data.decode import DECODING
from dmlbench.data.images import ImageSet
from dmlbench.data.split import hold_out_classes
from dmlbench.data.subset import subset
from dmlbench.data.training_data import TrainingData
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.errors import PluginError, UsageError
from dmlbench.leaderboard.entries.trial_result import BackboneMetadata
from dmlbench.plan.config import Component, Configuration
from dmlbench.plugins.components import create
from dmlbench.plugins.loading import load_target
from dmlbench.plugins.registry import KINDS, Registry
from dmlbench.plugins.sources import source_sha256
from dmlbench.training.contracts import (
    check_backbone,
    check_combiner,
    check_module,
    head_dims_of,
    read,
)
from dmlbench.training.embed import features_of
from dmlbench.training.frozen_features import FrozenFeatures, Precomputed
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.random_states import seed_for
from dmlbench.training.reduction import ReducedByPca
from dmlbench.training.step import LOSS_INPUTS

Emit = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class BuiltTrial:
    """A configuration made ready for one seed.

    parts: what is trained. images: (split, image set) -> what `parts` take for that split: the
        set itself, or its features under a frozen backbone.
    features_alone: (image set, (1,) index) -> the features (1, F) of one of its images, by the
        backbone itself.
    backbone_metadata: what the entry says of the backbone.
    """

    parts: TrainingModules
    images: Callable[[str, ImageSet], ImageSet]
    features_alone: Callable[[ImageSet, np.ndarray], Tensor]
    backbone_metadata: BackboneMetadata


def build(
    configuration: Configuration,
    registry: Registry,
    data: TrainingData,
    device: torch.device,
    seed: int,
    emit: Emit = lambda kind, values: None,
    refit: bool = False,
) -> BuiltTrial:
    """Build everything that a configuration names. Raises `DmlbenchError`.

    emit: told how a pass over the images progresses.
    refit: for a training on all training classes, none of them held out.
    """
    recipe = configuration.recipe
    seed_for(seed, "backbone")
    backbone = create_module(
        registry, "backbones", configuration.backbone, image_size=recipe.input.size
    )
    given = configuration.backbone.params
    pretrained = bool(given.get("pretrained") or given.get("weights"))
    weights = weights_sha256(backbone) if pretrained or recipe.frozen else None
    check_backbone(backbone, f"The backbone {configuration.backbone.id}")
    combiner, losses, head_dims = build_objective(
        configuration, registry, data, seed, backbone.num_features, refit
    )
    shape = (recipe.input.size, backbone.mean, backbone.std, recipe.channels_last)
    test_transform = TestTransform(*shape)
    if recipe.channels_last:
        backbone.to(memory_format=torch.channels_last)
    if recipe.frozen:
        made_from = _made_from(configuration, registry, data, device, weights)
        adapts = configuration.protocol.transductive
        features = FrozenFeatures(backbone, test_transform, recipe, device, made_from, emit, adapts)
    seed_for(seed, "heads")
    parts = TrainingModules(
        model=EmbeddingModel(
            Precomputed(backbone.num_features) if recipe.frozen else backbone,
            head_dims,
            recipe.layer_norm,
        ),
        losses=nn.ModuleList(losses),
        loss_names=[loss.name for loss in configuration.losses],
        combiner=combiner,
        train_transform=(_as_they_are if recipe.frozen else TrainTransform(recipe.augment, *shape)),
        test_transform=_as_they_are if recipe.frozen else test_transform,
        device=device,
    )
    for module in parts.modules().values():
        module.to(device)

    def features_alone(images: ImageSet, row: np.ndarray) -> Tensor:
        # A frozen backbone is not a part of what is trained.
        return features_of(backbone.to(device).eval(), test_transform, recipe, device, images, row)

    return BuiltTrial(
        parts,
        features.image_set if recipe.frozen else lambda split, images: images,
        features_alone,
        BackboneMetadata(
            num_parameters=sum(p.numel() for p in backbone.parameters()),
            num_features=backbone.num_features,
            weights_sha256=weights if pretrained else None,
        ),
    )


def training_split(
    configuration: Configuration, train: ImageSet, seed: int
) -> tuple[ImageSet, ImageSet]:
    """Training classes apart from those held out for selection, drawn by the seed."""
    kept, held_out = hold_out_classes(
        train.labels, configuration.protocol.validation_fraction, seed
    )
    return subset(train, kept), subset(train, held_out)


def build_objective(
    configuration: Configuration,
    registry: Registry,
    data: TrainingData,
    seed: int,
    num_features: int,
    refit: bool = False,
) -> tuple[nn.Module, list[nn.Module], list[int]]:
    """The combiner, the M losses, and the dimensions of the heads that they see."""
    num_losses = len(configuration.losses)
    combiner, head_dims = build_combiner(configuration, registry, seed)
    train = data.train if refit else training_split(configuration, data.train, seed)[0]
    num_classes = len(train.class_names)
    dims = head_dims * num_losses if len(head_dims) == 1 else head_dims
    losses = []
    for index, (loss, dim) in enumerate(zip(configuration.losses, dims, strict=True)):
        # By its name, not its place: an ensemble's loss starts like the loss alone.
        copy = [one.id for one in configuration.losses[:index]].count(loss.id)
        seed_for(seed, f"loss {loss.id} {copy}")
        losses.append(
            create_module(
                registry, "losses", loss,
                num_classes=num_classes, embedding_dim=dim, num_features=num_features,
                num_images=len(train.labels),
            )
        )  # fmt: skip
    check_inputs(configuration, losses, len(head_dims))
    return combiner, losses, head_dims


def build_combiner(
    configuration: Configuration, registry: Registry, seed: int
) -> tuple[Combiner, list[int]]:
    """The combiner, with a reduction by PCA where there is one, and the dimensions of its heads."""
    recipe, protocol = configuration.recipe, configuration.protocol
    combiner_id = configuration.combiner.id if configuration.combiner else "dmlbench:sum"
    combiner_params = configuration.combiner.params if configuration.combiner else {}
    item = registry.resolve("combiners", combiner_id)
    num_losses = len(configuration.losses)
    what = f"The combiner {item.id}"
    target = load_target(item.spec.target, item.distribution)
    head_dims = head_dims_of(target, what, recipe.embedding_dim, num_losses, protocol.dim_budget)
    seed_for(seed, "combiner")
    built = create(
        item,
        combiner_params,
        num_losses=num_losses,
        head_dims=head_dims,
        embedding_dim=recipe.embedding_dim,
    )
    combiner = check_combiner(built, what)
    if recipe.pca_dim:
        combiner = ReducedByPca(combiner, recipe.pca_dim, head_dims)
    return combiner, head_dims


def check_inputs(configuration: Configuration, losses: Sequence[nn.Module], num_heads: int) -> None:
    """Refuse a loss that names no input or rate, and a head that would learn nothing."""
    for component, loss in zip(configuration.losses, losses, strict=True):
        rate = read(loss, "learning_rate", f"The loss {component.id}")
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if rate is not None and not (number and 0 < rate < math.inf):
            raise UsageError(
                f"The loss {component.id} has learning_rate = {rate!r}; it must be a number above "
                f"0, or None for the recipe's."
            )
    takes = [
        read(loss, "takes", f"The loss {component.id}", default=LOSS_INPUTS[0])
        for component, loss in zip(configuration.losses, losses, strict=True)
    ]
    for component, taken in zip(configuration.losses, takes, strict=True):
        if not isinstance(taken, str) or taken not in LOSS_INPUTS:
            raise PluginError(
                f"The loss {component.id} has takes = {taken!r}; "
                f"it must be one of {', '.join(LOSS_INPUTS)}."
            )
    on_features = [
        component.id
        for component, taken in zip(configuration.losses, takes, strict=True)
        if taken == "features"
    ]
    if on_features and (num_heads > 1 or len(on_features) == len(losses)):
        raise UsageError(
            f"{', '.join(on_features)} looks at the backbone's features, so its embedding "
            f"would learn nothing. Put it beside another loss on one embedding, such as with "
            f"--combiner wel --no-singles, or let it look at embeddings."
        )


def create_module(registry: Registry, kind: str, component: Component, **offers: Any) -> nn.Module:
    """Build a component from its parameters and the offers it asks for. Raises `DmlbenchError`."""
    built = create(registry.resolve(kind, component.id), component.params, **offers)
    return check_module(built, f"The {KINDS[kind]} {component.id}")


def _made_from(
    configuration: Configuration,
    registry: Registry,
    data: TrainingData,
    device: torch.device,
    weights_sha256: str,
) -> dict[str, Any]:
    """All that decides the features of a frozen backbone, as JSON values."""
    recipe = configuration.recipe

    def identity(kind: str, component: Component) -> dict[str, Any]:
        target = registry.resolve(kind, component.id).spec.target
        return {**component.to_json(), "source_sha256": source_sha256(target)}

    return {
        "dataset": identity("datasets", configuration.dataset),
        "fingerprint": data.fingerprint,
        "decoding": DECODING,
        "backbone": identity("backbones", configuration.backbone),
        "weights_sha256": weights_sha256,
        "transform": {
            "resize": recipe.input.resize,
            "size": recipe.input.size,
            "source_sha256": source_sha256(TestTransform.__module__),
        },
        "precision": recipe.precision,
        "channels_last": recipe.channels_last,
        # The last digits differ between kinds of device, and releases of the libraries.
        "device": device.type,
        "libraries": {name: version(name) for name in ("torch", "timm")},
    }


def _as_they_are(features: Tensor, *_: object) -> Tensor:
    """The transform of features."""
    return features


def weights_sha256(backbone: nn.Module) -> str:
    """SHA-256 (hex) over names, shapes and bytes of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(backbone.state_dict().items()):
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        digest.update(tensor.contiguous().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
