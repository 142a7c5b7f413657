"""Features of a frozen backbone, computed once and shared by every trial that asks for the same.

They are in the cache under a hash of all that decides them: the data, the weights, the transform,
the code and the libraries. A pass over the images is made by one process; the others wait for it.
Legend: N images, F feature dimension.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.data.cache import CacheEntry
from dmlbench.data.images import ImageSet
from dmlbench.errors import TrialFailure
from dmlbench.plan.recipe import Recipe
from dmlbench.training.context import PROBES_OF_A_TEST, check_features
from dmlbench.training.embed import backbone_features, features_of
from dmlbench.training.random_states import generator_for

FEATURES = 2
"""Version of the pass: any change of what it computes raises it."""

_REPORT_SECONDS = 1.0

Emit = Callable[[str, Mapping[str, Any]], None]


class Precomputed(nn.Module):
    """Stands where the backbone was, once the inputs are its features (B, F)."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


class FrozenFeatures:
    """Gives image sets whose images are their features (N, F) float32, a memory map.

    backbone: not changed, except for its device and mode.
    transform: stored images (B, C, H, W) uint8 -> input of the backbone.
    made_from: JSON values that tell backbone, weights, transform and data apart from any others.
    emit: told ``features_progress`` with ``split``, ``images_done``, ``images`` and ``seconds``
        during a pass, and with ``waiting`` while another process makes it.
    transductive: whether the backbone may adapt to its batch.
    """

    def __init__(
        self,
        backbone: nn.Module,
        transform: Callable[[Tensor, Tensor | None], Tensor],
        recipe: Recipe,
        device: torch.device,
        made_from: Mapping[str, Any],
        emit: Emit,
        transductive: bool = False,
    ) -> None:
        self.backbone, self.transform, self.recipe = backbone, transform, recipe
        self.device, self.made_from, self.emit = device, dict(made_from), emit
        self.transductive = transductive

    def image_set(self, split: str, images: ImageSet) -> ImageSet:
        """The images of `split` by their features. Raises `TrialFailure` where one is NaN."""
        entry = CacheEntry.of("features", {**self.made_from, "split": split, "version": FEATURES})
        found = entry.read()
        if found is None:
            with entry.locked(waiting=lambda: self._tell(split, waiting=True)):
                # Whoever had the lock may have made it meanwhile.
                found = entry.read() or self._make(entry, split, images)
        return ImageSet(found[0], images.labels, images.class_names, images.ids)

    def _make(
        self, entry: CacheEntry, split: str, images: ImageSet
    ) -> tuple[np.ndarray, dict[str, Any]]:
        shape = (len(images), self.backbone.num_features)
        return entry.make(shape, lambda: self._pass(split, images), dtype="<f4")

    def _pass(self, split: str, images: ImageSet) -> Iterator[np.ndarray]:
        """The features in the order of the images, made in one that mixes classes."""
        self.backbone.to(self.device).eval()
        # One pass serves every seed, so none of them draws its order.
        generator = generator_for(0, f"features {split}")
        order = generator.permutation(len(images))
        features = np.empty((len(images), self.backbone.num_features), np.float32)
        for rows, block in self._blocks(split, images, order):
            features[rows] = block.cpu().numpy()
        if not self.transductive:
            probes = generator.choice(order, min(PROBES_OF_A_TEST, len(order)), replace=False)
            check_features(
                torch.from_numpy(features[probes]).to(self.device),
                probes,
                lambda row: features_of(
                    self.backbone, self.transform, self.recipe, self.device, images, row
                ),
                self.recipe,
                split,
            )
        yield features

    def _blocks(
        self, split: str, images: ImageSet, order: np.ndarray
    ) -> Iterator[tuple[np.ndarray, Tensor]]:
        started = told = time.perf_counter()
        done = 0
        for block in backbone_features(
            self.backbone, self.transform, self.recipe, self.device, images, order
        ):
            rows = order[done : done + len(block)]
            bad = ~block.isfinite().all(dim=1).cpu().numpy()
            if bad.any():
                raise TrialFailure(
                    f"the backbone's features of {bad.sum()} {split} images (image "
                    f"{rows[bad].min()} is one) are not finite; try recipe.precision=float32"
                )
            yield rows, block
            done += len(block)
            now = time.perf_counter()
            if done == len(images) or now - told > _REPORT_SECONDS:
                told = now
                self._tell(split, images_done=done, images=len(images), seconds=now - started)

    def _tell(self, split: str, **values: Any) -> None:
        values = {"split": split, **values}
        self.emit("features_progress", values)
        # The trial's log is what is left where nobody watches.
        print("features", *(f"{k}={v}" for k, v in values.items()), flush=True)
