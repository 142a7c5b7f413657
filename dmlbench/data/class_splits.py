"""Class splits beside a dataset's own: random halves of all its classes, the same everywhere.

Split 0 is the dataset's own. Split s = 1, 2, ... trains on the half of all classes whose names have
the smallest hashes together with s, and tests on the others. No random number is drawn, so a
split depends on no library, machine or trial seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from dmlbench.data.images import (
    Dataset,
    DatasetError,
    ImageSet,
    check_dataset,
    fingerprint,
    image_sets,
)
from dmlbench.data.listed_images import counted, some
from dmlbench.data.subset import ImageView


def random_half(class_names: Iterable[str], number: int, dataset: str) -> frozenset[str]:
    """The classes that train in random split `number` (from 1) of a dataset.

    Those whose SHA-256 over the JSON text of ``["class split", number, dataset, class name]``
    (UTF-8) are smallest, half of them; an odd class trains, as in `half_and_half`.
    dataset: its canonical id, such as ``dmlbench:glyphs``.

        >>> sorted(random_half("ABCDEF", 1, "dmlbench:glyphs"))
        ['C', 'D', 'F']
    """
    names = sorted(set(class_names))

    def place(name: str) -> tuple[bytes, str]:
        text = json.dumps(["class split", number, dataset, name])
        return hashlib.sha256(text.encode()).digest(), name

    return frozenset(sorted(names, key=place)[: (len(names) + 1) // 2])


class ClassSplit:
    """A dataset with another class split: all its classes, divided again.

    test_classes: (C,), int64, which of all classes each of the C test classes is: the dataset's own
        training classes in their order, then its test classes. They tell classes apart over splits.
    As where files are listed, a class with one image is left out of training, where it gives no
    pair, and kept in testing.
    Raises `DatasetError` for a dataset whose classes cannot be divided so.
    """

    gallery: ImageSet | None = None

    def __init__(self, own: Dataset, number: int, dataset: str) -> None:
        """own: with its own split. number: from 1. dataset: its canonical id."""
        name = f"{dataset}, class split {number}"
        if getattr(own, "gallery", None) is not None:
            raise DatasetError(
                f"{name}: {dataset} has a gallery, and says of its test classes alone which images "
                f"are queries and which are searched. Random class splits would have to invent "
                f"that for its training classes, so it has its own split only: --splits 1."
            )
        parts = [images for _, images in image_sets(own)]
        # A class name is in one of the two alone (`check_dataset`).
        names = np.array([c for part in parts for c in part.class_names], dtype=object)
        offsets = np.cumsum([0, *(len(part.class_names) for part in parts)])
        labels = np.concatenate([p.labels + o for p, o in zip(parts, offsets, strict=False)])
        training = random_half(names, number, dataset)
        trains = np.array([c in training for c in names])
        alone = np.bincount(labels, minlength=len(names)) < 2
        left_out = sorted(names[trains & alone])
        images = _Joined([part.images for part in parts], name)
        ids = [i for part in parts for i in part.ids] if all(p.ids for p in parts) else []

        def taken(chosen: np.ndarray) -> ImageSet:
            rows = np.flatnonzero(chosen[labels])
            class_names = sorted(names[chosen])
            position = {c: label for label, c in enumerate(class_names)}
            return ImageSet(
                ImageView(images, rows),
                np.array([position[names[label]] for label in labels[rows]], dtype=np.int64),
                tuple(class_names),
                tuple(ids[row] for row in rows) if ids else (),
            )

        self.train = taken(trains & ~alone)
        self.test = taken(~trains)
        self.test_classes = np.array(sorted(np.flatnonzero(~trains), key=names.__getitem__))
        self.report: tuple[str, ...] = ()
        if left_out:
            what = counted(len(left_out), "training class has", "training classes have")
            self.report = (
                f"class split {number}: {what} one image and no pair to learn from, left out: "
                f"{some(left_out)}",
            )
        # The pixels are those of the dataset, whose fingerprint covers them.
        self.content_sha256 = fingerprint(own)
        check_dataset(self, name)


class _Joined:
    """Image arrays one after the other, (N, C, H, W) together, read when they are asked for.

    Whole images of different sizes are padded below and right, as `WholeImages` does.
    Raises `DatasetError`, naming the `dataset`, for arrays that cannot make one.
    """

    def __init__(self, parts: Sequence[Any], dataset: str) -> None:
        self.parts = parts
        self.ends = np.cumsum([len(part) for part in parts])
        sizes = [getattr(part, "sizes", None) for part in parts]
        whole = all(size is not None for size in sizes)
        self.sizes = np.concatenate(sizes) if whole else None
        """Height and width of each image (N, 2), int64, where they differ; else None."""
        shapes = [np.asarray(part[np.zeros(1, np.int64)]).shape[1:] for part in parts]
        different = {shape[:1] if whole else shape for shape in shapes}
        if len(different) > 1:
            raise DatasetError(
                f"{dataset}: its training images are {shapes[0]} and its test images {shapes[1]}; "
                f"a class split that mixes them needs images of one shape (C, H, W)."
            )

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        place = np.searchsorted(self.ends, index, side="right")
        found = []
        for number in np.unique(place):
            part, rows = self.parts[number], np.flatnonzero(place == number)
            start = self.ends[number] - len(part)
            found.append((rows, np.asarray(part[index[rows] - start])))
        shape = np.max([images.shape[1:] for _, images in found], axis=0)
        joined = np.zeros((len(index), *shape), dtype=np.uint8)
        for rows, images in found:
            joined[rows, :, : images.shape[2], : images.shape[3]] = images
        return joined
