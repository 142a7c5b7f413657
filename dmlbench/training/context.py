"""Whether an embedding depends on what else is in its batch: a few images embedded one at a time.

Two steps are compared apart, the backbone's features and what heads and combiner make of them: the
precision of the recipe rounds the first alone, so the second is held to float32.
Distances are relative to the norm, as the cosine is. Images must differ by no more than rounding
explains, and by little beside the distance between two images, whichever is more: a network whose
embeddings are close together is held to what keeps them apart.
Legend: P probes, F feature dimension, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from dmlbench.data.images import ImageSet
from dmlbench.errors import TrialFailure
from dmlbench.plan.recipe import Recipe
from dmlbench.training.embed import Embedded, embedding_alone, evaluating, features_of
from dmlbench.training.failures import own_work
from dmlbench.training.parts import TrainingModules

PROBES_OF_A_TEST = 64
"""One image in twenty that depended on its batch would be missed in one trial of 27."""

PROBES_OF_A_VALIDATION = 4

# Kernels add in another order where a batch has another size. Seen on a CPU (resnet-mini,
# ResNet-18 and -50, ViT-S): at most 2e-7 in float32 and 0 in bfloat16.
_FLOAT32 = 1e-5
# A sum that rounds to the neighbouring number is 2^-8 away in bfloat16, 2^-10 in the TF32 of a
# GPU's convolutions; layers add up to a few of these.
_ROUNDED = {"bfloat16": 2.0**-5, "tf32": 2.0**-7}
_SHARE = 1e-3  # of the median distance between two images


class ContextDependent(TrialFailure):
    """An embedding that depends on the other images of its batch, or that needs some."""


def check_context(
    embedded: Embedded, parts: TrainingModules, recipe: Recipe, images: ImageSet, what: str
) -> None:
    """Embed the probes one at a time by `parts` and raise `ContextDependent` where they differ.

    parts: the state that embedded them; a network built again remembers nothing of the others.
    what: what the images are called in the message, such as "test".
    """
    evaluating(parts)
    alone = embed_alone(
        parts,
        lambda row: features_of(
            parts.model.backbone, parts.test_transform, recipe, parts.device, images, row
        ),
        embedded.probes,
        embedded.features,
        what,
    )
    together = embedded.embeddings[torch.from_numpy(embedded.probes)]
    compare_alone(
        (embedded.features, together), alone, embedded.probes, recipe, parts.device.type, what
    )


def embed_alone(
    parts: TrainingModules,
    features_alone: Callable[[np.ndarray], Tensor],
    probes: np.ndarray,
    features: Tensor,
    what: str,
) -> tuple[Tensor, Tensor]:
    """Features (P, F) and embeddings (P, D) of the images `probes` (P,), one at a time.

    parts: in evaluation mode. features_alone: (1,) index -> (1, F).
    features: (P, F), those of a batch, of which the embeddings are made.
    Raises `ContextDependent` where one image alone cannot be embedded.
    """
    found = _features_alone(features_alone, probes, what)
    embeddings = _each(
        [lambda row=row: embedding_alone(parts, row[None]) for row in features],
        what, "the embedding",
    )  # fmt: skip
    return found, embeddings


def compare_alone(
    together: tuple[Tensor, Tensor],
    alone: tuple[Tensor, Tensor],
    probes: np.ndarray,
    recipe: Recipe,
    device_type: str,
    what: str,
) -> None:
    """Raise `ContextDependent` where features (P, F) or embeddings (P, D) differ."""
    rounding = _features_rounding(recipe, device_type)
    _compare(together[0], alone[0], rounding, what, "features", probes)
    _compare(together[1], alone[1], _FLOAT32, what, "embeddings", probes)


def check_features(
    features: Tensor,
    probes: np.ndarray,
    features_alone: Callable[[np.ndarray], Tensor],
    recipe: Recipe,
    what: str,
) -> None:
    """Raise `ContextDependent` where a backbone gives an image alone other features.

    features: (P, F), of the images `probes` (P,) within a batch.
    features_alone: (1,) index -> (1, F), in evaluation mode.
    """
    alone = _features_alone(features_alone, probes, what)
    rounding = _features_rounding(recipe, features.device.type)
    _compare(features, alone, rounding, what, "features", probes)


def _features_alone(
    features_alone: Callable[[np.ndarray], Tensor], probes: np.ndarray, what: str
) -> Tensor:
    return _each(
        [lambda i=i: features_alone(np.array([i]))[0] for i in probes],
        what, "the backbone's features",
    )  # fmt: skip


def _features_rounding(recipe: Recipe, device_type: str) -> float:
    """By how much rounding may move features."""
    # On a GPU convolutions round float32 to TF32.
    precision = "tf32" if device_type == "cuda" else "float32"
    return _ROUNDED.get("bfloat16" if recipe.precision == "bfloat16" else precision, _FLOAT32)


def _each(calls: list[Callable[[], Tensor]], what: str, thing: str) -> Tensor:
    """The rows (P, ·) that the calls give; what cannot take one image alone needs its batch."""
    try:
        with own_work():
            return torch.stack([call() for call in calls])
    except TrialFailure as failure:
        raise ContextDependent(
            f"{thing} of one {what} image alone cannot be computed, although that of a batch can: "
            f"{failure}"
        ) from failure


def _compare(
    together: Tensor, alone: Tensor, rounding: float, what: str, thing: str, probes: np.ndarray
) -> None:
    if len(probes) < 2:
        return
    if together.shape != alone.shape:
        raise ContextDependent(
            f"the {thing} of {what} images have {together.shape[1:].numel()} dimensions in a batch "
            f"and {alone.shape[1:].numel()} alone"
        )
    together, alone = together.double().cpu(), alone.double().cpu()
    scale = alone.norm(dim=1).median().clamp_min(1e-30)
    off = (together - alone).norm(dim=1) / scale  # (P,)
    apart = torch.nn.functional.pdist(alone).median() / scale
    allowed = max(rounding, _SHARE * apart.item())
    worst = int(off.argmax())
    if off[worst].item() <= allowed:
        return
    raise ContextDependent(
        f"the {thing} of {what} images: what else is in the batch decides on them. Image "
        f"{probes[worst]} alone is off by {off[worst]:.2g} (two images are {apart:.2g} apart, "
        f"rounding explains {allowed:.1g}). A component that adapts to its batch on purpose says "
        f"transductive=True in its spec"
    )
