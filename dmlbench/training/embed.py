"""Images to features, and to evaluated embeddings, as validation and test see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import batch_of
from dmlbench.plan.recipe import Recipe
from dmlbench.training import heartbeat
from dmlbench.training.failures import own_work
from dmlbench.training.parts import TrainingModules

_BATCH = 256
_CPU_PIXELS = 256 * 64 * 64  # more at once costs a CPU memory and saves no time


@torch.no_grad()
def embed_images(parts: TrainingModules, recipe: Recipe, images: ImageSet) -> Tensor:
    """The combiner's embedding (N, D) float32 of every image, in evaluation mode, on the CPU."""
    with own_work():
        for module in parts.modules().values():
            module.eval()
    blocks = []
    for features in backbone_features(
        parts.model.backbone, parts.test_transform, recipe, parts.device, images
    ):
        with own_work():
            heads = parts.model.embed(features)
            blocks.append(parts.combiner.embed(heads).float().cpu())
    return torch.cat(blocks)


@torch.no_grad()
def backbone_features(
    backbone: nn.Module,
    transform: Callable[[Tensor, Tensor | None], Tensor],
    recipe: Recipe,
    device: torch.device,
    images: ImageSet,
) -> Iterator[Tensor]:
    """Yield the features (B, F) float32 of all images in order, on `device`.

    backbone: on `device`, in evaluation mode.
    """
    size = recipe.input.size
    step = _BATCH if device.type == "cuda" else max(16, min(_BATCH, _CPU_PIXELS // size**2))
    for start in range(0, len(images.labels), step):
        rows = np.arange(start, min(start + step, len(images.labels)))
        batch = transform(*batch_of(images.images, rows, device))  # (B, 3, S, S)
        bfloat16 = recipe.precision == "bfloat16"
        with own_work(), torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            features = backbone(batch)  # (B, F)
        heartbeat.moved()
        yield features.float()
