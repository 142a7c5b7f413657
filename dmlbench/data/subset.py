"""Part of an image set, without copying images."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmlbench.data.images import ImageSet


class ImageView:
    """Some images of an array-like (N, C, H, W), read when they are asked for.

    images: what an `ImageSet` holds as images. indices: (n,), int64.
    """

    def __init__(self, images: Any, indices: np.ndarray) -> None:
        self.images = images
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        return self.images[self.indices[index]]

    @property
    def sizes(self) -> np.ndarray | None:
        """Height and width of each image (n, 2), int64, where they differ; else None."""
        sizes = getattr(self.images, "sizes", None)
        return None if sizes is None else sizes[self.indices]


def subset(images: ImageSet, indices: np.ndarray) -> ImageSet:
    """The images at `indices` (n,) int64; their classes are numbered again, from 0, in order."""
    labels, renumbered = np.unique(images.labels[indices], return_inverse=True)
    return ImageSet(
        ImageView(images.images, indices),
        renumbered.astype(np.int64),
        tuple(images.class_names[label] for label in labels),
        tuple(images.ids[index] for index in indices) if images.ids else (),
    )
