"""Images to evaluated embeddings, as validation and test see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dmlbench.data.images import ImageSet
from dmlbench.recipe import Recipe

if TYPE_CHECKING:
    from dmlbench.train import Parts

_BATCH = 256


@torch.no_grad()
def embed_images(parts: Parts, recipe: Recipe, images: ImageSet) -> Tensor:
    """The combiner's embedding (N, D) float32 of every image, in evaluation mode, on the CPU."""
    for module in parts.modules().values():
        module.eval()
    blocks = []
    for start in range(0, len(images.labels), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(images.labels)))
        stored = torch.from_numpy(np.ascontiguousarray(images.images[rows]))
        batch = parts.test_transform(stored.to(parts.device))  # (B, 3, S, S)
        if recipe.channels_last:
            batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.autocast(
            parts.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"
        ):
            features = parts.model.backbone(batch)  # (B, F)
        heads = parts.model.embed(features.float())
        blocks.append(parts.combiner.embed(heads).float().cpu())
    return torch.cat(blocks)
