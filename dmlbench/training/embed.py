"""Images to features, and to evaluated embeddings, as validation and test see them.

Legend: N images, B batch, P probes, F feature dimension, D embedding dimension, S pixels a side.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.data.devices import to_device
from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import batch_of
from dmlbench.plan.recipe import Recipe
from dmlbench.training import heartbeat
from dmlbench.training.failures import own_work
from dmlbench.training.input_stream import batches
from dmlbench.training.parts import TrainingModules

_BATCH = 256
_CPU_PIXELS = 256 * 64 * 64  # more at once costs a CPU memory and saves no time


@dataclass(frozen=True)
class Embedded:
    """The embeddings of an image set, and what it takes to look whether they need their batches.

    embeddings: (N, D) float32, in the order of the images, on the CPU.
    probes: (P,) int64, images drawn at random. features: (P, F) float32, theirs within a batch.
    """

    embeddings: Tensor
    probes: np.ndarray
    features: Tensor


@torch.no_grad()
def embed_images(
    parts: TrainingModules,
    recipe: Recipe,
    images: ImageSet,
    generator: np.random.Generator,
    num_probes: int = 0,
) -> Embedded:
    """The combiner's embedding of every image, in evaluation mode.

    generator: draws the order in which images are embedded, so batches mix classes, and the
        `num_probes` images (all, where there are fewer) whose features are kept.
    """
    with own_work():
        evaluating(parts)
    count = len(images)
    order = generator.permutation(count)
    probes = generator.choice(count, min(num_probes, count), replace=False)
    place = np.full(count, -1)
    place[probes] = np.arange(len(probes))
    features = torch.zeros(len(probes), parts.model.backbone.num_features, device=parts.device)
    blocks = []
    done = 0
    for block in backbone_features(
        parts.model.backbone, parts.test_transform, recipe, parts.device, images, order
    ):
        places = place[order[done : done + len(block)]]
        kept = np.flatnonzero(places >= 0)
        there, here = (
            to_device(torch.from_numpy(rows), parts.device) for rows in (places[kept], kept)
        )
        features[there] = block[here]
        done += len(block)
        with own_work():
            blocks.append(parts.combiner.embed(parts.model.embed(block)).float())
    drawn = torch.cat(blocks).cpu()
    embeddings = torch.empty_like(drawn)
    embeddings[torch.from_numpy(order)] = drawn
    return Embedded(embeddings, probes, features)


@torch.no_grad()
def embedding_alone(parts: TrainingModules, features: Tensor) -> Tensor:
    """The embedding (D,) float32 of one image, given its features (1, F), on the CPU.

    parts: in evaluation mode.
    """
    return parts.combiner.embed(parts.model.embed(features)).float().cpu()[0]


@torch.no_grad()
def backbone_features(
    backbone: nn.Module,
    transform: Callable[[Tensor, Tensor | None], Tensor],
    recipe: Recipe,
    device: torch.device,
    images: ImageSet,
    order: np.ndarray,
) -> Iterator[Tensor]:
    """Yield the features (B, F) float32 of the images `order` (N,) int64, on `device`.

    backbone: on `device`, in evaluation mode.
    """
    size = recipe.input.size
    step = _BATCH if device.type == "cuda" else max(16, min(_BATCH, _CPU_PIXELS // size**2))
    rows = (order[start : start + step] for start in range(0, len(order), step))
    with contextlib.closing(batches(images.images, None, rows, device)) as made:
        for batch in made:
            yield _features(backbone, transform, recipe, batch.stored, batch.covered)


@torch.no_grad()
def features_of(
    backbone: nn.Module,
    transform: Callable[[Tensor, Tensor | None], Tensor],
    recipe: Recipe,
    device: torch.device,
    images: ImageSet,
    rows: np.ndarray,
) -> Tensor:
    """The features (B, F) float32 of the images `rows` (B,) int64 as one batch, on `device`."""
    return _features(backbone, transform, recipe, *batch_of(images.images, rows, device))


def _features(
    backbone: nn.Module,
    transform: Callable[[Tensor, Tensor | None], Tensor],
    recipe: Recipe,
    stored: Tensor,
    covered: Tensor | None,
) -> Tensor:
    batch = transform(stored, covered)  # (B, 3, S, S)
    bfloat16 = recipe.precision == "bfloat16"
    with own_work(), torch.autocast(stored.device.type, torch.bfloat16, enabled=bfloat16):
        features = backbone(batch)  # (B, F)
    heartbeat.moved()
    return features.float()


def evaluating(parts: TrainingModules) -> None:
    """Set every module to evaluation mode."""
    for module in parts.modules().values():
        module.eval()
