"""A class is a random tile of 8 x 8 pixels; an instance of it is noisy."""

from __future__ import annotations

import numpy as np

from dmlbench.data.images import ImageSet

IMAGES_PER_CLASS = 8
TILE_SIZE = 8


class Tiny:
    """The first half of the classes trains, the second tests.

    noise: standard deviation of what is added, twice, to each pixel. classes: in both halves.
    """

    gallery, report = None, ()

    def __init__(self, noise=60.0, classes=24, image_size=16):
        rng = np.random.default_rng(0)
        scale = image_size // TILE_SIZE
        tiles = rng.integers(0, 256, (classes, 1, TILE_SIZE, TILE_SIZE)).repeat(scale, 2)
        tiles = tiles.repeat(scale, 3)  # (C, 1, image_size, image_size)
        half = classes // 2

        def images(first, last):
            labels = np.repeat(np.arange(last - first), IMAGES_PER_CLASS)
            noisy = tiles[first:last][labels] + rng.normal(0, noise, (len(labels), 1, 1, 1))
            noisy = noisy + rng.normal(0, noise, noisy.shape)
            names = tuple(f"c{i:03}" for i in range(first, last))
            return ImageSet(noisy.clip(0, 255).astype(np.uint8), labels, names)

        self.train, self.test = images(0, half), images(half, classes)
