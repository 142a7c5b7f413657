"""Labelled images, and what every dataset must hold before anything is trained on it.

A dataset is any object with ``train`` and ``test`` image sets, a ``gallery`` image set or None
(test images are then queried against the gallery), and a ``report``: one line for each decision
that its loading took. Legend: N images, C channels (1 or 3), H and W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dmlbench.errors import DmlbenchError


class DatasetError(DmlbenchError, ValueError):
    """A dataset that cannot be used as it is: the message names it and says what to do."""


@dataclass(frozen=True)
class ImageSet:
    """Images with their labels.

    images: array-like (N, C, H, W), uint8; ``images[i]`` with an int64 array i is a numpy array.
    labels: numpy (N,), int64, an index into `class_names`.
    class_names: the name of each label; no two alike.
    ids: (N,) names that tell the images apart, such as file names; empty where there are none.
    """

    images: Any
    labels: np.ndarray
    class_names: tuple[str, ...]
    ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


class Dataset(Protocol):
    """What the target of a `dmlbench.hookspecs.DatasetSpec` builds."""

    train: ImageSet
    test: ImageSet
    gallery: ImageSet | None
    report: tuple[str, ...]


def image_sets(dataset: Dataset) -> Iterator[tuple[str, ImageSet]]:
    """Yield ``("train", ...)``, ``("test", ...)`` and, where there is one, ``("gallery", ...)``."""
    yield "train", dataset.train
    yield "test", dataset.test
    gallery = getattr(dataset, "gallery", None)
    if gallery is not None:
        yield "gallery", gallery


def fingerprint(dataset: Dataset) -> str:
    """Return the sha256 of a dataset's split, class names, labels, ids and content.

    The content of images in memory is their bytes. That of decoded files is the dataset's own
    ``content_sha256`` where it has one: reading all pixels again would be slow, and they may differ
    by the version of the decoder.
    """
    digest = hashlib.sha256()

    def add(*parts: str | bytes | memoryview) -> None:
        for part in parts:
            data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
            # The length in front keeps ("ab", "c") and ("a", "bc") apart.
            digest.update(len(data).to_bytes(8, "little"))
            digest.update(data)

    for split, images in image_sets(dataset):
        add(split, str(len(images.class_names)), *images.class_names)
        add(np.ascontiguousarray(images.labels, dtype="<i8").tobytes())
        add(str(len(images.ids)), *images.ids)
        if type(images.images) is np.ndarray:
            add(repr(images.images.shape), np.ascontiguousarray(images.images).data.cast("B"))
    add(getattr(dataset, "content_sha256", ""))
    return digest.hexdigest()


def check_dataset(dataset: Dataset, name: str) -> None:
    """Raise `DatasetError` unless `dataset` can be trained and tested on by unseen classes.

    name: what the messages call it.
    """
    for split in ("train", "test"):
        if not isinstance(getattr(dataset, split, None), ImageSet):
            raise DatasetError(
                f"{name}: .{split} must be a dmlbench.data.images.ImageSet, "
                f"not {type(getattr(dataset, split, None)).__name__}."
            )
    for split, images in image_sets(dataset):
        _check_images(images, f"{name}: .{split}")
    _check_all_named(dataset, name)
    _check_disjoint(dataset, name)
    _check_pairs(dataset, name)


def _check_images(images: ImageSet, where: str) -> None:
    labels = images.labels
    if not isinstance(labels, np.ndarray) or labels.dtype != np.int64 or labels.ndim != 1:
        given = f"{getattr(labels, 'dtype', type(labels).__name__)} {np.shape(labels)}"
        raise DatasetError(f"{where}: labels must be a numpy array (N,) of int64, not {given}.")
    if not len(labels):
        raise DatasetError(f"{where} holds no image.")
    if len(images.images) != len(labels):
        raise DatasetError(f"{where}: {len(images.images)} images but {len(labels)} labels.")
    if images.ids and len(images.ids) != len(labels):
        raise DatasetError(f"{where}: {len(images.ids)} ids but {len(labels)} labels.")
    for what, names in (("class name", images.class_names), ("id", images.ids)):
        if len(set(names)) != len(names):
            twice = next(n for i, n in enumerate(sorted(names)) if n == sorted(names)[i - 1])
            raise DatasetError(f"{where}: the {what} {twice!r} is there more than once.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= len(images.class_names):
        raise DatasetError(
            f"{where}: labels reach from {low} to {high}, but there are "
            f"{len(images.class_names)} class names: every label must be an index into them."
        )
    first = np.asarray(images.images[np.zeros(1, dtype=np.int64)])
    if first.dtype != np.uint8 or first.ndim != 4 or first.shape[1] not in (1, 3):
        raise DatasetError(
            f"{where}: images must be uint8 (N, C, H, W) with C 1 or 3, "
            f"but one image gives {first.dtype} {first.shape}."
        )


def _check_all_named(dataset: Dataset, name: str) -> None:
    """A class without an image would be counted, and given proxies, for nothing."""
    gallery = getattr(dataset, "gallery", None)
    more = gallery.labels if gallery is not None else np.empty(0, dtype=np.int64)
    for split, images, labels in (
        ("train", dataset.train, dataset.train.labels),
        ("test", dataset.test, np.concatenate([dataset.test.labels, more])),
    ):
        missing = np.setdiff1d(np.arange(len(images.class_names)), labels)
        if len(missing):
            raise DatasetError(
                f"{name}: .{split}: class {images.class_names[missing[0]]!r} has no image "
                f"({len(missing)} such classes). Leave it out of class_names."
            )


def _check_disjoint(dataset: Dataset, name: str) -> None:
    train = {dataset.train.class_names[label] for label in np.unique(dataset.train.labels)}
    for split, images in image_sets(dataset):
        if split == "train":
            continue
        shared = sorted(train & {images.class_names[label] for label in np.unique(images.labels)})
        if shared:
            raise DatasetError(
                f"{name}: {len(shared)} classes are in .train and in .{split} "
                f"({', '.join(shared[:5])}): test classes must be unseen."
            )
        leaked = sorted(set(dataset.train.ids) & set(images.ids))
        if leaked:
            raise DatasetError(
                f"{name}: {len(leaked)} images are in .train and in .{split} "
                f"({', '.join(leaked[:5])}): test images must be unseen."
            )


def _check_pairs(dataset: Dataset, name: str) -> None:
    gallery = getattr(dataset, "gallery", None)
    if gallery is None:
        found = {split: classes_with_pairs(images.labels) for split, images in image_sets(dataset)}
    else:
        if gallery.class_names != dataset.test.class_names:
            raise DatasetError(
                f"{name}: .gallery and .test must have the same class_names, "
                "so a label means the same class in both."
            )
        both = np.intersect1d(dataset.test.labels, gallery.labels)
        found = {"train": classes_with_pairs(dataset.train.labels), "test": both}
    for split, classes in found.items():
        if len(classes) < 2:
            has = "a query and a gallery image" if gallery and split == "test" else "2 images"
            raise DatasetError(
                f"{name}: .{split} needs at least 2 classes with {has}, it has {len(classes)}."
            )


def classes_with_pairs(labels: np.ndarray) -> np.ndarray:
    """Return the labels that at least two images carry, ascending.

    labels: (N,), int64.
    """
    classes, counts = np.unique(labels, return_counts=True)
    return classes[counts >= 2]
