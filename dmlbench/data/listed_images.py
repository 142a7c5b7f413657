"""From a list of labelled image files to the image sets of a dataset."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.data.decode import decode_files
from dmlbench.data.images import DatasetError, ImageSet
from dmlbench.data.subset import ImageView
from dmlbench.data.training_phase import refuse_while_training
from dmlbench.data.whole import WholeImages

_NAMED = 10  # names that a line of a report gives before it counts the rest


@dataclass(frozen=True)
class ListedImage:
    """One image file of a dataset.

    id: its path relative to the dataset's root, with forward slashes.
    label: name of its class.
    split: "train", "test" (or the queries, where there is a gallery) or "gallery".
    path: where the file is.
    place: where it was listed, for messages, such as "line 7".
    """

    id: str
    label: str
    split: str
    path: Path
    place: str = ""


class ListedDataset:
    """Image sets of listed files.

    Files that cannot be decoded are left out. A class with one image is left out of training,
    where it gives no pair; in testing it stays, as one that others may be confused with. Both are
    counted in `report`, as are copies of one file.

    name: what messages and the cache call the dataset.
    root: its folder.
    listed: the files; sorted here by id, so their order on disk does not matter.
    image_size: pixels a side that images are stored at.
    whole: store whole images, their short side at that, instead of their middle squares.
    report: decisions taken while listing.
    key: further JSON values that tell lists of files of one root apart in the cache.
    Raises `DatasetError` for a file listed twice, or a class in training and in testing.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        listed: Iterable[ListedImage],
        image_size: int,
        report: Iterable[str] = (),
        whole: bool = False,
        **key: Any,
    ) -> None:
        refuse_while_training(name)
        if type(image_size) is not int or image_size < 1:
            raise DatasetError(
                f"{name}: image_size must be a positive integer, not {image_size!r}."
            )
        items = sorted(listed, key=lambda item: item.id)
        _refuse_repeats(name, items)
        _refuse_seen_classes(name, items)
        files = _decoded(name, root, items, image_size, whole, key)
        _refuse_undecoded(name, items, files)
        lines = [*report, *_decoding_report(items, files)]
        rows = [i for i in range(len(items)) if i not in files.failures]
        rows, more = _without_singletons(items, rows)
        lines += [*more, *_copies_report(items, rows, files)]
        self.train = _image_set(items, rows, files, ("train",), "train")
        self.test = _image_set(items, rows, files, ("test", "gallery"), "test")
        has_gallery = any(item.split == "gallery" for item in items)
        self.gallery = (
            _image_set(items, rows, files, ("test", "gallery"), "gallery") if has_gallery else None
        )
        self.report = tuple(lines)
        used = (f"{items[i].id}\0{files.sha256[i]}" for i in rows)
        self.content_sha256 = hashlib.sha256("\n".join(used).encode(*_TEXT)).hexdigest()


@dataclass(frozen=True)
class _Decoded:
    """Decoded files, those of training in an array of their own: no view of it shows the others.

    images: of training (True) and of all else. rows: (N,) int64, where a file is in its array.
    failures, sha256: as in `dmlbench.data.decode.DecodedFiles`, by the index of the file.
    """

    images: dict[bool, np.ndarray | WholeImages]
    rows: np.ndarray
    failures: dict[int, str]
    sha256: list[str]


def _decoded(
    name: str,
    root: Path,
    items: Sequence[ListedImage],
    image_size: int,
    whole: bool,
    key: dict[str, Any],
) -> _Decoded:
    images: dict[bool, np.ndarray | WholeImages] = {}
    rows = np.zeros(len(items), np.int64)
    failures: dict[int, str] = {}
    sha256 = [""] * len(items)
    for training in (True, False):
        mine = [i for i, item in enumerate(items) if (item.split == "train") == training]
        paths = [items[i].path for i in mine]
        images[training] = np.empty((0, 3, image_size, image_size), np.uint8)
        if not paths:
            continue
        files = decode_files(name, root, paths, image_size, whole, training=training, **key)
        images[training] = files.images
        rows[mine] = np.arange(len(mine))
        failures |= {mine[i]: why for i, why in files.failures.items()}
        for i, digest in zip(mine, files.sha256, strict=True):
            sha256[i] = digest
    return _Decoded(images, rows, failures, sha256)


_TEXT = ("utf-8", "surrogateescape")  # file names may hold bytes that are not text


def some(names: Sequence[str]) -> str:
    """Return names as text: the first few, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def counted(count: int, one: str, many: str) -> str:
    """Return a number with the words that go with it: "1 image was", "2 images were"."""
    return f"{count} {one if count == 1 else many}"


def _refuse_repeats(name: str, items: Sequence[ListedImage]) -> None:
    for one, other in zip(items, items[1:], strict=False):
        if one.id == other.id:
            places = f" ({one.place} and {other.place})" if one.place else ""
            raise DatasetError(
                f"{name}: {one.id} is listed twice{places}. Leave one of the two out."
            )


def _refuse_seen_classes(name: str, items: Sequence[ListedImage]) -> None:
    # Reversed, so the first image of a class is the one that is named.
    training = {item.label: item for item in reversed(items) if item.split == "train"}
    shared = {}
    for item in items:
        if item.split != "train" and item.label in training:
            shared.setdefault(item.label, (training[item.label], item))
    if shared:
        label, (seen, item) = min(shared.items())
        first, second = (f"{i.place}: {i.id}" if i.place else i.id for i in (seen, item))
        raise DatasetError(
            f"{name}: class {label!r} is in train ({first}) and in {item.split} ({second})"
            + (f", and so are {len(shared) - 1} more classes" if len(shared) > 1 else "")
            + ". Test classes must be unseen: give every class to one of the two."
        )


def _refuse_undecoded(name: str, items: Sequence[ListedImage], files: _Decoded) -> None:
    """Raise `DatasetError` where no image of a split could be decoded."""
    for split in sorted({item.split for item in items}, reverse=True):
        mine = [i for i, item in enumerate(items) if item.split == split]
        if all(i in files.failures for i in mine):
            names = [f"{items[i].id} ({files.failures[i]})" for i in mine]
            raise DatasetError(
                f"{name}: none of the {len(mine)} images in {split} could be decoded: "
                f"{some(names)}."
            )


def _decoding_report(items: Sequence[ListedImage], files: _Decoded) -> list[str]:
    lines = []
    if files.failures:
        names = [f"{items[i].id} ({why})" for i, why in sorted(files.failures.items())]
        what = counted(
            len(names), "image could not be decoded and was", "images could not be decoded and were"
        )
        lines.append(f"{what} left out: {some(names)}")
    listed = Counter(item.label for item in items)
    lost = Counter(items[i].label for i in files.failures)
    gone = sorted(label for label, count in lost.items() if count == listed[label])
    if gone:
        what = counted(len(gone), "class was lost with its", "classes were lost with their")
        lines.append(f"{what} images: {some(gone)}")
    return lines


def _without_singletons(
    items: Sequence[ListedImage], rows: Sequence[int]
) -> tuple[list[int], list[str]]:
    """Return the rows without training classes of one image, and what was decided."""
    sizes = Counter(items[i].label for i in rows)
    single = [i for i in rows if sizes[items[i].label] == 1]
    train = sorted(items[i].label for i in single if items[i].split == "train")
    test = sorted(items[i].label for i in single if items[i].split != "train")
    lines = []
    if train:
        what = counted(len(train), "training class has", "training classes have")
        lines.append(f"{what} one image and no pair to learn from, left out: {some(train)}")
    if test:
        what = counted(len(test), "test class has", "test classes have")
        lines.append(f"{what} one image, kept but never queried: {some(test)}")
    dropped = {i for i in single if items[i].split == "train"}
    return [i for i in rows if i not in dropped], lines


def _copies_report(items: Sequence[ListedImage], rows: Sequence[int], files: _Decoded) -> list[str]:
    """Say which files are the same bytes as an earlier one; they stay."""
    first: dict[str, int] = {}
    leaks, relabelled, copies = [], [], []
    # Training comes first, so a copy of it in testing is told as such.
    for i in sorted(rows, key=lambda i: (items[i].split != "train", i)):
        j = first.setdefault(files.sha256[i], i)
        if i == j:
            continue
        one, other = items[j], items[i]
        if (one.split == "train") != (other.split == "train"):
            kind = leaks
        else:
            kind = relabelled if one.label != other.label else copies
        kind.append(f"{other.id} = {one.id}")
    lines = []
    for pairs, meaning in (
        (leaks, "seen in training under another class"),
        (relabelled, "also in another class"),
        (copies, "also in the same class"),
    ):
        if pairs:
            what = counted(len(pairs), "image is", "images are")
            lines.append(f"{what} {meaning} (same file content; kept): {some(pairs)}")
    return lines


def _image_set(
    items: Sequence[ListedImage],
    rows: Sequence[int],
    files: _Decoded,
    classes_of: tuple[str, ...],
    split: str,
) -> ImageSet:
    """Return the images of `split`, numbered by the sorted classes of the splits `classes_of`."""
    names = sorted({items[i].label for i in rows if items[i].split in classes_of})
    number = {name: label for label, name in enumerate(names)}
    mine = [i for i in rows if items[i].split == split]
    return ImageSet(
        ImageView(files.images[split == "train"], files.rows[mine]),
        np.array([number[items[i].label] for i in mine], dtype=np.int64),
        tuple(names),
        tuple(items[i].id for i in mine),
    )
