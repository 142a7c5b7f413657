"""Class splits: random halves that are the same everywhere, and datasets divided by them."""

from __future__ import annotations

import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from words import refused

import dmlbench
from dmlbench.data import apart as module
from dmlbench.data.class_splits import ClassSplit, random_half
from dmlbench.data.images import DatasetError, ImageSet
from dmlbench.data.subset import ImageView
from dmlbench.data.training_data import training_data
from dmlbench.data.whole import WholeImages
from dmlbench.errors import UsageError

NAMES = tuple(f"class {i}" for i in range(12))
SIZES = [2, 3, 1, 2, 4, 2, 3, 1, 2, 2, 5, 2]
LABELS = np.repeat(np.arange(12), SIZES)
#: Each image says which class it is of, and which image of all.
IMAGES = np.stack([LABELS, np.arange(len(LABELS))], axis=1)[:, None, :, None].astype(np.uint8)
FIRST = int((LABELS < 6).sum())


def dataset(images=IMAGES, ids=True, **more):
    def part(rows, names):
        labels = np.unique(LABELS[rows], return_inverse=True)[1].astype(np.int64)
        return ImageSet(
            images[rows], labels, names, tuple(f"image {i}" for i in rows) if ids else ()
        )

    rows = np.arange(len(LABELS))
    parts = {"train": part(rows[:FIRST], NAMES[:6]), "test": part(rows[FIRST:], NAMES[6:])}
    return SimpleNamespace(**{**parts, "gallery": None, "report": ("as it is",), **more})


def test_the_halves_are_those_of_the_documented_hash():
    def place(name):
        text = f'["class split", 3, "my-package:mine", "{name}"]'
        return hashlib.sha256(text.encode()).hexdigest()

    assert random_half(NAMES, 3, "my-package:mine") == set(sorted(NAMES, key=place)[:6])
    # Pinned: another division under the same number would be another experiment.
    pinned = {NAMES[i] for i in (1, 3, 6, 7, 8, 10)}
    assert random_half(NAMES, 1, "dmlbench:glyphs") == pinned


def test_splits_differ_by_number_and_dataset_and_not_by_order():
    halves = {random_half(NAMES, n, d) for n in range(1, 6) for d in ("a:a", "a:b")}
    assert len(halves) == 10 and {len(half) for half in halves} == {6}
    assert random_half(reversed(NAMES), 1, "a:a") == random_half(NAMES, 1, "a:a")
    assert len(random_half(NAMES[:5], 1, "a:a")) == 3
    # A class that is missing on one machine moves no more than one other class.
    rest = random_half(NAMES[:11], 1, "a:a")
    assert len(rest ^ (random_half(NAMES, 1, "a:a") - {NAMES[11]})) <= 1


@pytest.mark.parametrize("number", range(1, 6))
def test_every_class_is_on_one_side_with_all_its_images(number):
    own = dataset()
    split = ClassSplit(own, number, "a:a")
    training = random_half(NAMES, number, "a:a")
    alone = {name for name, size in zip(NAMES, SIZES, strict=True) if size == 1}
    assert set(split.train.class_names) == training - alone
    assert set(split.test.class_names) == set(NAMES) - training
    seen = []
    for part in (split.train, split.test):
        images = np.asarray(part.images[np.arange(len(part))])
        classes, numbers = images[:, 0, 0, 0], images[:, 0, 1, 0]
        assert [part.class_names[label] for label in part.labels] == [NAMES[c] for c in classes]
        assert part.ids == tuple(f"image {i}" for i in numbers)
        seen += numbers.tolist()
    lost = training & alone
    assert len(seen) == len(set(seen)) == len(LABELS) - len(lost)
    assert bool(split.report) == bool(lost)
    if lost:
        assert f"class split {number}" in split.report[0] and min(lost) in split.report[0]


def test_training_on_a_split_holds_its_training_images_alone():
    own = dataset()
    split = ClassSplit(own, 1, "a:a")
    data = training_data(own, split)
    assert len(module._root(data.train.images)) == len(split.train)
    rows = np.arange(len(split.train))
    assert np.array_equal(data.train.images[rows], split.train.images[rows])
    assert data.metadata == training_data(own).metadata and data.metadata["report"] == ["as it is"]
    assert data.split_metadata["num_test_images"] == len(split.test)
    assert data.fingerprint == data.split_metadata["fingerprint"] != data.metadata["fingerprint"]


def test_the_fingerprint_of_a_split_covers_all_pixels_and_the_division():
    changed = IMAGES.copy()
    changed[0] += 1
    found = [
        training_data(own, ClassSplit(own, number, "a:a")).fingerprint
        for own, number in ((dataset(), 1), (dataset(), 2), (dataset(changed), 1))
    ]
    assert len(set(found)) == 3


def test_whole_images_of_different_sizes_are_divided_too():
    sizes = np.stack([2 + LABELS % 3, 2 + np.arange(len(LABELS)) % 2], axis=1)
    pixels = np.concatenate([np.full(3 * h * w, i, np.uint8) for i, (h, w) in enumerate(sizes)])
    whole = WholeImages(pixels, sizes)
    own = dataset()
    rows = np.arange(len(LABELS))
    for side, part in (("train", rows[:FIRST]), ("test", rows[FIRST:])):
        old = getattr(own, side)
        setattr(own, side, ImageSet(ImageView(whole, part), old.labels, old.class_names, old.ids))
    split = ClassSplit(own, 1, "a:a")
    for part in (split.train, split.test, training_data(own, split).train):
        shown = part.images[np.arange(len(part))]
        for image, size, name in zip(shown, part.images.sizes, part.ids, strict=True):
            number = int(name.removeprefix("image "))
            assert tuple(size) == tuple(sizes[number])
            inside = image[:, : size[0], : size[1]]
            assert (inside == number).all() and image.sum() == inside.sum()


def test_what_cannot_be_divided_is_refused():
    own = dataset()
    own.gallery = own.test
    with refused(DatasetError, "1", "--splits"):
        ClassSplit(own, 1, "a:a")
    own = dataset()
    own.test = ImageSet(IMAGES[FIRST:].repeat(2, axis=2), own.test.labels, own.test.class_names)
    with refused(DatasetError):
        ClassSplit(own, 1, "a:a")


def test_a_dataset_is_loaded_with_a_random_split():
    own = dmlbench.load_dataset("glyphs", classes=10, images_per_class=2, image_size=16)
    params = {"classes": 10, "images_per_class": 2, "image_size": 16}
    random = dmlbench.load_dataset("glyphs", class_split=1, **params)
    names = {*own.train.class_names, *own.test.class_names}
    assert set(random.train.class_names) == random_half(names, 1, "dmlbench:glyphs")
    assert set(random.test.class_names) == names - set(random.train.class_names)
    for wrong in (-1, 0.5, "1"):
        with pytest.raises(UsageError, match="class_split"):
            dmlbench.load_dataset("glyphs", class_split=wrong, **params)
