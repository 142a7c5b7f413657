"""Datasets and backbones: built as `dmlbench run` builds them, and held to what it asks of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from dmlbench.conformance.kit import Broken, Skip, check_finite
from dmlbench.data.images import DatasetError, check_dataset
from dmlbench.data.training_data import training_data
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.plan.recipe import Recipe
from dmlbench.plugins.components import create
from dmlbench.plugins.registry import Registered
from dmlbench.training.context import check_features

_STORED_PIXELS = 32
_BATCH = 8


@dataclass(frozen=True)
class Subject:
    """A component with its resolved parameters."""

    item: Registered
    params: Mapping[str, Any]


def check_of_dataset(subject: Subject) -> None:
    """Build a dataset, hold it to what every trial asks, and take its training images out."""
    dataset = _built(subject.item, subject.params, _STORED_PIXELS)
    try:
        check_dataset(dataset, subject.item.id)
    except DatasetError as error:
        raise Broken(str(error)) from error
    training_data(dataset)


def check_of_backbone(subject: Subject) -> None:
    """Build a backbone without pretrained weights and look at the features that it gives."""
    size = subject.item.spec.image_size
    params = dict(subject.params)
    if "pretrained" in params:
        params["pretrained"] = False
    backbone = _built(subject.item, params, size)
    if not isinstance(backbone, nn.Module):
        raise Broken(f"it builds a {type(backbone).__name__}, not a torch.nn.Module")
    _check_attributes(backbone)
    backbone.eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(_BATCH, 3, size, size, generator=generator)
    with torch.no_grad():
        features = backbone(images)
    wanted = (_BATCH, backbone.num_features)
    if tuple(features.shape) != wanted:
        raise Broken(f"{_BATCH} images give features {tuple(features.shape)}, not {wanted}")
    check_finite("the features of random images", features)
    if not subject.item.spec.transductive:
        _check_alone(backbone, images, features)


def _built(item: Registered, params: Mapping[str, Any], image_size: int) -> Any:
    """The component. What says itself that it needs data, or a parameter, is skipped."""
    try:
        return create(item, params, image_size=image_size)
    except (DatasetError, UsageError) as error:
        if isinstance(error.__cause__, TypeError | ValueError):
            raise Broken(str(error)) from error
        raise Skip(f"it cannot be built here: {error}") from error


def _check_attributes(backbone: nn.Module) -> None:
    num_features = getattr(backbone, "num_features", None)
    if type(num_features) is not int or num_features < 1:
        raise Broken(f"num_features must be a positive whole number, not {num_features!r}")
    for name in ("mean", "std"):
        values = getattr(backbone, name, None)
        numbers = isinstance(values, Sequence) and all(isinstance(v, int | float) for v in values)
        if not numbers or len(values) != 3:
            raise Broken(f"{name} must be three numbers, one per channel, not {values!r}")


def _check_alone(backbone: nn.Module, images: torch.Tensor, features: torch.Tensor) -> None:
    @torch.no_grad()
    def alone(rows: np.ndarray) -> torch.Tensor:
        return backbone(images[torch.from_numpy(rows)]).float()

    try:
        probes = np.arange(len(images))
        check_features(features.float(), probes, alone, Recipe(name="check"), "random")
    except TrialFailure as failure:
        raise Broken(str(failure)) from failure


#: Kind -> the check that a component of it has to pass, by name.
IMAGE_CHECKS: Mapping[str, Mapping[str, Callable[[Subject], None]]] = {
    "datasets": {"images": check_of_dataset},
    "backbones": {"features": check_of_backbone},
}
