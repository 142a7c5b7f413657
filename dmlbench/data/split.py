"""Class-disjoint splits: which classes train, which test, and which are held out to select."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dmlbench.data.images import DatasetError, classes_with_pairs


def half_and_half(class_names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the training and the test classes: the first and the second half, sorted by name.

    The order is that of the code points. An odd class goes to training, as in the field's split
    of Oxford-IIIT Pets (37 classes: 19 / 18).
    """
    names = sorted(set(class_names))
    middle = (len(names) + 1) // 2
    return tuple(names[:middle]), tuple(names[middle:])


def hold_out_classes(
    labels: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices (ascending int64) of the training and of the validation images.

    labels: (N,), int64; no class is on both sides.
    fraction: share of the classes to hold out, between 0 and 1; at least 2, at most all but 2.
    seed: decides which classes; the same seed gives the same ones.
    Raises `DatasetError` unless both sides get 2 classes with 2 images.
    """
    if not 0 < fraction < 1:
        raise DatasetError(
            f"The held-out fraction of classes must be between 0 and 1, not {fraction}."
        )
    classes = np.unique(labels)
    pairs = classes_with_pairs(labels)
    if len(pairs) < 4:
        raise DatasetError(
            f"Validation holds classes out of the {len(classes)} training classes, and each side "
            f"needs 2 classes with at least 2 images: 4 in all, but there are {len(pairs)}. "
            "Give a dataset with more training classes."
        )
    shuffled = np.random.default_rng(seed).permutation(classes)
    # A class with a pair at either end of the order, twice, gives both sides what they need.
    paired = shuffled[np.isin(shuffled, pairs)]
    ends = np.concatenate([paired[:2], paired[-2:]])
    between = shuffled[~np.isin(shuffled, ends)]
    order = np.concatenate([ends[:2], between, ends[2:]])
    count = min(max(round(fraction * len(order)), 2), len(order) - 2)
    held_out = np.isin(labels, order[:count])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
