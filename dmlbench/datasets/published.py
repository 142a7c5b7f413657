"""How large the field's datasets are, as published: what `dmlbench data verify` compares with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Images and classes of a set and its class-disjoint split.

    gallery_images: where the test images are queries; 0 where they retrieve one another.
    train_images, test_images: None where no source that is known here gives them.
    """

    images: int
    train_classes: int
    test_classes: int
    train_images: int | None = None
    test_images: int | None = None
    gallery_images: int = 0


PUBLISHED: Mapping[str, Counts] = {
    "cub": Counts(
        images=11_788,
        train_classes=100,
        test_classes=100,
        train_images=5_864,
        test_images=5_924,
    ),
    "cars": Counts(
        images=16_185,
        train_classes=98,
        test_classes=98,
        train_images=8_054,
        test_images=8_131,
    ),
    "sop": Counts(
        images=120_053,
        train_classes=11_318,
        test_classes=11_316,
        train_images=59_551,
        test_images=60_502,
    ),
    "inshop": Counts(
        images=52_712,
        train_classes=3_997,
        test_classes=3_985,
        train_images=25_882,
        test_images=14_218,
        gallery_images=12_612,
    ),
    "flowers": Counts(images=8_189, train_classes=51, test_classes=51),
    "pets": Counts(images=7_390, train_classes=19, test_classes=18),
}
