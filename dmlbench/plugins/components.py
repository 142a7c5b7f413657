"""Build what a spec names: losses, combiners, datasets and backbones as objects."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.plugins.loading import load_target
from dmlbench.plugins.registry import KINDS, Registered, Registry


def create(item: Registered, params: Mapping[str, Any], **offers: Any) -> Any:
    """Build a component from its parameters and those `offers` that its signature asks for.

    Raises `UsageError` that names the component and the parameters where it refuses them.
    """
    target = load_target(item.spec.target, item.distribution)
    asked = inspect.signature(target).parameters
    taken = {name: value for name, value in offers.items() if name in asked}
    try:
        return target(**taken, **params)
    except DmlbenchError:
        raise
    except (TypeError, ValueError) as error:
        given = ", ".join(f"{k}={v!r}" for k, v in params.items())
        raise UsageError(
            f"{KINDS[item.kind]} {item.id}({given}) cannot be built: {error}"
        ) from error


def create_loss(
    registry: Registry, name: str, params: Mapping[str, Any], num_classes: int, embedding_dim: int
) -> Any:
    """Build a loss; ``num_classes`` and ``embedding_dim`` reach it where it asks for them."""
    item = registry.resolve("losses", name)
    resolved = item.resolve_params(params)
    return create(item, resolved, num_classes=num_classes, embedding_dim=embedding_dim)


def create_dataset(
    registry: Registry,
    name: str,
    params: Mapping[str, Any],
    image_size: int | None = None,
    whole_images: bool = False,
) -> Any:
    """Build and check a dataset; both sizes reach it where its signature asks for them.

    image_size: pixels a side of stored images; None leaves the dataset's own default.
    whole_images: store whole images, their short side at `image_size`.
    Raises `DatasetRefused` while a trial trains.
    """
    from dmlbench.data.images import check_dataset
    from dmlbench.data.training_phase import refuse_while_training

    item = registry.resolve("datasets", name)
    refuse_while_training(item.id)
    offers: dict[str, Any] = {} if image_size is None else {"image_size": image_size}
    if whole_images:
        offers["whole_images"] = True
    dataset = create(item, item.resolve_params(params), **offers)
    check_dataset(dataset, item.id)
    return dataset
