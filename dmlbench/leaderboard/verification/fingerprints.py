"""Fingerprints of datasets that are the same on every machine, by parameters and image size."""

from __future__ import annotations

from typing import Any

from dmlbench.datasets.published import PUBLISHED
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.identity import BUILT_IN, canonical_json

_GLYPHS = {"classes": 400, "images_per_class": 24, "seed": 0}


def _key(dataset: str, params: dict[str, Any], resize: Any) -> str:
    return canonical_json([dataset, params, resize])


_KNOWN: dict[str, dict[str, Any]] = {
    _key("dmlbench:glyphs", _GLYPHS, 32): {
        "fingerprint": "dd17ee3f0c6f0a3ee0c3ed4ab0ac70803a62aeeab65839e2c07407ce53173115",
        "num_train_classes": 200,
        "num_train_images": 4800,
        "num_test_classes": 200,
        "num_test_images": 4800,
        "num_gallery_images": 0,
    },
}


def dataset_key(entry: Entry) -> str:
    """Equal for entries whose datasets must have the same fingerprint."""
    dataset = entry.dataset
    return _key(f"{dataset.distribution}:{dataset.name}", dataset.params, image_size(entry))


def image_size(entry: Entry) -> Any:
    """To what size the recipe has images read; None where it does not say."""
    sizes = entry.recipe.get("input")
    return sizes.get("resize") if isinstance(sizes, dict) else None


def known_dataset(entry: Entry) -> dict[str, Any]:
    """What the entry's dataset record must hold; empty for a dataset that is not known here.

    Of the field's datasets the published sizes are known, and no fingerprint.
    """
    dataset = entry.dataset
    known = _KNOWN.get(dataset_key(entry))
    if known is not None:
        return known
    sizes = PUBLISHED.get(dataset.name) if dataset.distribution == BUILT_IN else None
    if sizes is None:
        return {}
    published = {
        "num_train_classes": sizes.train_classes,
        "num_train_images": sizes.train_images,
        "num_test_classes": sizes.test_classes,
        "num_test_images": sizes.test_images,
        "num_gallery_images": sizes.gallery_images,
    }
    return {name: number for name, number in published.items() if number is not None}
