"""A trained trial as one module: images in, the embedding that was evaluated out.

Legend: B batch, S pixels a side, D embedding dimension.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from dmlbench.combiners.base import Combiner
from dmlbench.data.decode import decode_file
from dmlbench.data.rgb import resized, upright_rgb
from dmlbench.data.transforms import TestTransform
from dmlbench.data.whole import stored_size
from dmlbench.errors import UsageError, VerificationError
from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.recipe import Input
from dmlbench.plugins.registry import Registry
from dmlbench.training.build import build_combiner, create_module, weights_sha256
from dmlbench.training.frozen_features import Precomputed
from dmlbench.training.kept_weights import State
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.random_states import random_states, restore_random_states, seed_for
from dmlbench.training.reduction import ReducedByPca


class ImageTransform:
    """One image as a run sees test images: scaled, the middle square of it, normalised.

    given: pixels a side that images are stored at (`resize`) and seen at (`size`).
    mean, std: per channel, of values from 0 to 1.
    """

    def __init__(
        self,
        given: Input,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        channels_last: bool = False,
    ) -> None:
        self.size, self.resize, self.whole = given.size, given.resize, given.keep == "whole"
        self.mean, self.std = tuple(mean), tuple(std)
        self._stored = TestTransform(self.size, self.mean, self.std, channels_last)

    def __call__(self, image: Image.Image | str | os.PathLike[str]) -> Tensor:
        """A picture of Pillow, or the path of an image file -> (3, S, S) float32.

        Raises `UsageError` for a file that is not an image.
        """
        if isinstance(image, Image.Image):
            picture = upright_rgb(image)
            sides = (self.resize, self.resize)
            if self.whole:
                sides = stored_size(picture.height, picture.width, self.resize)
            pixels = resized(picture, sides)
        else:
            pixels, failure = decode_file(Path(image), self.resize, self.whole)
            if failure:
                raise UsageError(f"{os.fspath(image)} is left out: {failure}.")
        return self.batch(torch.from_numpy(pixels.copy())[None])[0]

    def batch(self, stored: Tensor, covered: Tensor | None = None) -> Tensor:
        """Stored images of a dataset, (B, C, H, W) uint8 -> (B, 3, S, S) float32.

        covered: as for `dmlbench.data.transforms.TestTransform`.
        """
        return self._stored(stored, covered)


class EmbeddingNetwork(nn.Module):
    """Backbone, heads and combiner of one trial: (B, 3, S, S) -> embeddings (B, D) float32.

    They are those that were evaluated: reduced by PCA where the recipe says so, and of unit length
    unless the protocol compares by Euclidean distance.

    transform: what makes the input of an image.
    reduced_precision: run the backbone under autocast to bfloat16, as the recipe did.
    """

    def __init__(
        self,
        model: EmbeddingModel,
        combiner: Combiner,
        transform: ImageTransform,
        *,
        unit_length: bool,
        reduced_precision: bool,
    ) -> None:
        super().__init__()
        self.model = model
        # Without its question whether it is fitted, which no exported graph can ask.
        reduction = combiner if isinstance(combiner, ReducedByPca) else None
        self.combiner = combiner if reduction is None else reduction.combiner
        self.register_buffer("mean", None if reduction is None else reduction.mean)
        self.register_buffer("axes", None if reduction is None else reduction.axes)
        self.transform = transform
        self.unit_length, self.reduced_precision = unit_length, reduced_precision
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self.reduced_precision):
            features = self.model.backbone(images)
        embedding = self.combiner.embed(self.model.embed(features.float()))
        if self.axes is not None:
            embedding = (embedding - self.mean) @ self.axes
        embedding = embedding.float()
        return functional.normalize(embedding, dim=1) if self.unit_length else embedding


def build_network(
    configuration: Configuration,
    registry: Registry,
    seed: int,
    state: State,
    frozen_sha256: str | None,
) -> EmbeddingNetwork:
    """The network of a trial from the weights that it kept, on the CPU.

    frozen_sha256: of the pretrained weights that a frozen backbone must have; None for any.
    Global random states are left as they are.
    Raises `VerificationError` where the weights do not fit, and as `build` where something cannot
    be built.
    """
    recipe = configuration.recipe
    before = random_states()
    try:
        seed_for(seed, "backbone")
        component = configuration.backbone
        backbone = create_module(
            registry,
            "backbones",
            component if recipe.frozen else _without_weights(component),
            image_size=recipe.input.size,
        )
        combiner, head_dims = build_combiner(configuration, registry, seed)
        trained = Precomputed(backbone.num_features) if recipe.frozen else backbone
        model = EmbeddingModel(trained, head_dims, recipe.layer_norm)
    finally:
        restore_random_states(before)
    if recipe.frozen and frozen_sha256 not in (None, weights_sha256(backbone)):
        raise VerificationError(
            f"The pretrained weights of {component.id} here are not those that the trial had."
        )
    try:
        model.load_state_dict(state["model"])
        combiner.load_state_dict(state["combiner"])
    except RuntimeError as error:
        raise VerificationError(
            f"The kept weights do not fit the configuration: {' '.join(str(error).split())[:300]}"
        ) from error
    model.backbone = backbone
    if recipe.channels_last:
        backbone.to(memory_format=torch.channels_last)
    return EmbeddingNetwork(
        model,
        combiner,
        ImageTransform(recipe.input, backbone.mean, backbone.std, recipe.channels_last),
        unit_length=configuration.protocol.similarity == "cosine",
        reduced_precision=recipe.precision == "bfloat16",
    )


def _without_weights(backbone: Component) -> Component:
    """The backbone without the weights that it started from: others are loaded into it."""
    empty = {"pretrained": False, "weights": None}
    params = {k: empty[k] if k in empty else v for k, v in backbone.params.items()}
    return replace(backbone, params=params)
