"""The embedded dataset: characters as classes, drawn on the spot, with nothing to download."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from dmlbench.data.cache import CacheEntry
from dmlbench.data.images import DatasetError, ImageSet
from dmlbench.data.training_phase import refuse_while_training

DEFAULT_SHA256 = "a2d5d76eec99410f970df10056e8a447dac7ea7946ad70adccaea027cb1ca76c"
"""The sha256 of the images of ``Glyphs()``: the version of the characters and of the drawing."""


_MOST_IMAGES = 1_000_000
_MOST_BYTES = 1 << 32


class Glyphs:
    """Characters that all twelve DejaVu faces have, seen under random views.

    Image i of a character is in face i mod 12, under random rotation (±25°), size, stretch, shear
    and shift, blurred, grey on grey with a contrast of at least 50 of 255 and either polarity, with
    noise (σ 35 at double size, 17.5 in the image). It depends on the seed, the character, i and
    the image size alone.

    classes: characters in all, the first ones of an order that the seed decides; its first half
        trains (the larger one), the second half tests.
    images_per_class: images of each character.
    seed: part of the dataset's identity; another seed is another dataset.
    image_size: pixels a side.
    Raises `DatasetError` for a value out of range, or fonts other than those of DejaVu 2.37.
    """

    gallery = None

    def __init__(
        self,
        classes: int = 400,
        images_per_class: int = 24,
        seed: int = 0,
        image_size: int = 32,
    ) -> None:
        from dmlbench.datasets.glyph_alphabet import code_points

        refuse_while_training("glyphs")
        codes = code_points()
        _check("classes", classes, 4, len(codes))
        _check("images_per_class", images_per_class, 2, 10_000)
        _check("seed", seed, 0, 2**63 - 1)
        _check("image_size", image_size, 8, 512)
        # An entry from elsewhere may ask for any: what is drawn stays a matter of minutes.
        num_images = classes * images_per_class
        if num_images > _MOST_IMAGES or num_images * image_size**2 > _MOST_BYTES:
            raise DatasetError(
                f"glyphs: {num_images:,} images of {image_size} pixels a side are too many: at "
                f"most {_MOST_IMAGES:,} images and {_MOST_BYTES >> 30} GiB are drawn."
            )
        order = np.argsort(np.random.PCG64(seed).random_raw(len(codes)), kind="stable")
        chosen = [codes[i] for i in order[:classes]]
        images = _images(chosen, images_per_class, seed, image_size)
        self._check_bytes(images, (classes, images_per_class, seed, image_size))
        middle = (classes + 1) // 2
        self.train = _image_set(chosen[:middle], images[: middle * images_per_class])
        self.test = _image_set(chosen[middle:], images[middle * images_per_class :])
        self.report: tuple[str, ...] = ()

    @staticmethod
    def _check_bytes(images: np.ndarray, params: tuple[int, ...]) -> None:
        if params == (400, 24, 0, 32):
            found = hashlib.sha256(np.ascontiguousarray(images)).hexdigest()
            if found != DEFAULT_SHA256:
                raise DatasetError(
                    f"glyphs: this machine drew other images than the dataset is made of: sha256 "
                    f"{found}, expected {DEFAULT_SHA256}. Results on them could not be compared; "
                    "please report this with the versions of numpy and Python."
                )


def _images(codes: list[int], images_per_class: int, seed: int, size: int) -> np.ndarray:
    """Return the images (N, 1, S, S) of characters, from the cache if they are there."""
    made_from: dict[str, Any] = {
        "drawing": DEFAULT_SHA256,
        "codes": codes,
        "images_per_class": images_per_class,
        "seed": seed,
        "image_size": size,
    }
    entry = CacheEntry.of("glyphs", made_from)
    found = entry.read(in_memory=True)
    if found is None:
        shape = (len(codes) * images_per_class, 1, size, size)
        found = entry.make(
            shape, lambda: _draw(codes, images_per_class, seed, size), in_memory=True
        )
    return found[0]


def _draw(codes: list[int], images_per_class: int, seed: int, size: int) -> Iterator[np.ndarray]:
    """Yield each character's images (images_per_class, 1, S, S)."""
    from dmlbench.datasets.glyph_alphabet import load_faces
    from dmlbench.datasets.glyph_render import random_words, render

    fonts = load_faces()
    for code in codes:
        outlines = [font.segments(code) for font in fonts]
        views = [outlines[i % len(fonts)] for i in range(images_per_class)]
        yield render(views, random_words(seed, code, images_per_class, size), size)[:, None]


def _image_set(codes: list[int], images: np.ndarray) -> ImageSet:
    names = tuple(f"U+{code:04X}" for code in codes)
    each = len(images) // len(codes)
    ids = tuple(f"{name}/{i:02d}" for name in names for i in range(each))
    return ImageSet(images, np.repeat(np.arange(len(codes)), each), names, ids)


def _check(name: str, value: Any, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise DatasetError(
            f"glyphs: {name} must be an integer from {low} to {high}, not {value!r}."
        )
