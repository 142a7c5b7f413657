"""Image sets and datasets: what is refused, by name, and what a fingerprint notices."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from dmlbench.data.images import DatasetError, ImageSet, check_dataset, fingerprint


def image_set(prefix: str, sizes: tuple[int, ...] = (2, 3), channels: int = 1) -> ImageSet:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    images = np.arange(len(labels) * channels * 16, dtype=np.uint8)
    return ImageSet(
        images.reshape(-1, channels, 4, 4),
        labels,
        tuple(f"{prefix}{i}" for i in range(len(sizes))),
        tuple(f"{prefix}/{i}.png" for i in range(len(labels))),
    )


def dataset(**parts):
    given = {"train": image_set("a"), "test": image_set("b"), "gallery": None, "report": ()}
    return SimpleNamespace(**{**given, **parts})


def test_a_sound_dataset_passes():
    check_dataset(dataset(), "toy")
    check_dataset(dataset(train=image_set("a", channels=3)), "toy")


def test_a_gallery_may_hold_the_only_other_image_of_a_class():
    check_dataset(dataset(test=image_set("b", (1, 1)), gallery=image_set("b", (1, 1))), "toy")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"train": None}, r"toy: \.train must be a .*ImageSet, not NoneType"),
        ({"test": image_set("a")}, r"2 classes are in \.train and in \.test \(a0, a1\)"),
        ({"train": image_set("a", (4,))}, r"\.train needs at least 2 classes with 2 images, .* 1"),
        ({"test": image_set("b", (1, 3))}, r"\.test needs at least 2 classes with 2 images"),
        (
            {
                "test": image_set("b", (1, 1)),
                "gallery": replace(image_set("b"), class_names=("b1",)),
            },
            r"\.gallery: labels reach from 0 to 1, but there are 1 class names",
        ),
        (
            {"gallery": replace(image_set("b"), class_names=("b1", "b0"))},
            r"\.gallery and \.test must have the same class_names",
        ),
        (
            {"gallery": replace(image_set("b"), labels=np.array([1, 1, 1, 1, 1]))},
            r"2 classes with a query and a gallery image, it has 1",
        ),
    ],
)
def test_refused_datasets(parts, message):
    with pytest.raises(DatasetError, match=message):
        check_dataset(dataset(**parts), "toy")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros(5, np.int32)}, "array .N,. of int64, not int32"),
        ({"labels": np.zeros(5, np.float64)}, "int64, not float64"),
        ({"labels": [0, 0, 1, 1, 1]}, "int64, not list"),
        ({"labels": np.array([0, 0, 1, 1, 2])}, "from 0 to 2, but there are 2 class names"),
        ({"labels": np.array([-1, 0, 0, 1, 1])}, "from -1 to 1"),
        ({"labels": np.array([0, 0, 1])}, "5 images but 3 labels"),
        ({"labels": np.array([0, 0, 0, 0, 0])}, "class 'a1' has no image"),
        ({"labels": np.zeros(0, np.int64)}, "holds no image"),
        ({"class_names": ("a", "a")}, "class name 'a' is there more than once"),
        ({"ids": ("1", "2", "3")}, "3 ids but 5 labels"),
        ({"ids": ("1", "2", "3", "1", "4")}, "id '1' is there more than once"),
        ({"images": np.zeros((5, 1, 4, 4), np.float32)}, "uint8 .* float32"),
        ({"images": np.zeros((5, 2, 4, 4), np.uint8)}, "C 1 or 3"),
        ({"images": np.zeros((5, 4, 4), np.uint8)}, "C 1 or 3"),
    ],
)
def test_refused_image_sets(change, message):
    with pytest.raises(DatasetError, match=message):
        check_dataset(dataset(train=replace(image_set("a"), **change)), "toy")


def test_one_image_in_train_and_test_is_a_leak():
    leak = replace(image_set("b"), ids=("x", "y", "a/0.png", "z", "w"))
    with pytest.raises(DatasetError, match=r"1 images are in \.train and in \.test \(a/0\.png\)"):
        check_dataset(dataset(test=leak), "toy")


def test_dataset_errors_are_value_errors():
    assert issubclass(DatasetError, ValueError)


def test_the_fingerprint_stays_and_notices_every_part():
    first = fingerprint(dataset())
    assert first == fingerprint(dataset()) and len(first) == 64
    a = image_set("a")
    altered = a.images.copy()
    altered[-1, -1, -1, -1] ^= 1
    changes = [
        replace(a, labels=np.array([0, 0, 0, 1, 1])),
        replace(a, class_names=("a0", "a2")),
        replace(a, ids=()),
        replace(a, images=altered),
    ]
    others = [fingerprint(dataset(train=changed)) for changed in changes]
    others.append(fingerprint(dataset(gallery=image_set("b"))))
    others.append(fingerprint(dataset(train=image_set("b"), test=image_set("a"))))
    assert len({first, *others}) == len(others) + 1


def test_the_fingerprint_tells_where_one_name_ends():
    one = replace(image_set("a"), class_names=("ab", "c"))
    other = replace(image_set("a"), class_names=("a", "bc"))
    assert fingerprint(dataset(train=one)) != fingerprint(dataset(train=other))


def test_the_fingerprint_leaves_memory_maps_unread(tmp_path):
    a = image_set("a")
    np.save(tmp_path / "a.npy", a.images)
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    other = np.lib.format.open_memmap(tmp_path / "b.npy", "w+", np.uint8, a.images.shape)
    prints = {fingerprint(dataset(train=replace(a, images=images))) for images in (mapped, other)}
    assert len(prints) == 1
