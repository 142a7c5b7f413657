"""Training images apart: from what is kept of them no way leads to a test image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dmlbench.data import apart as module
from dmlbench.data.images import ImageSet
from dmlbench.data.subset import ImageView
from dmlbench.data.training_data import training_data
from dmlbench.data.training_phase import DatasetRefused, refuse_while_training, training_phase
from dmlbench.data.whole import WholeImages

WHOLE = np.arange(8 * 3 * 4, dtype=np.uint8).reshape(8, 3, 2, 2)
LABELS = np.array([0, 0, 1, 1])
TRAIN, TEST = np.arange(4), np.arange(4, 8)


def dataset(train, test):
    labels = np.concatenate([LABELS, LABELS])
    return SimpleNamespace(
        train=ImageSet(train, labels[:4], ("a", "b")), test=ImageSet(test, LABELS, ("c", "d"))
    )


def views(array):
    return ImageView(array, TRAIN), ImageView(array, TEST)


class Reader:
    """Reads any image, as a plugin of its own would."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return WHOLE[index]


@pytest.fixture
def mapped(tmp_path):
    np.save(tmp_path / "images.npy", WHOLE)
    return np.load(tmp_path / "images.npy", mmap_mode="r")


@pytest.mark.parametrize("limit", [1 << 30, 1])
@pytest.mark.parametrize("kind", ["slices", "views", "reader", "map", "part of a map"])
def test_images_that_lead_to_others_are_copied(kind, limit, mapped, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_MEMORY_BYTES", limit)
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    train, test = {
        "slices": (WHOLE[:4], WHOLE[4:]),
        "views": views(WHOLE),
        "reader": (Reader(), WHOLE[4:].copy()),
        "map": views(mapped),
        "part of a map": (mapped[:4], mapped[4:]),
    }[kind]
    kept = training_data(dataset(train, test)).train
    assert np.array_equal(kept.images[TRAIN], WHOLE[:4])
    assert len(kept.images) == 4 and len(module._root(kept.images)) == 4
    assert kept.labels.base is None and np.array_equal(kept.labels, LABELS)
    assert isinstance(kept.images, np.memmap) == (limit == 1)


def test_whole_images_are_copied_with_their_sizes():
    sizes = np.array([[2, 3], [3, 2], [2, 2], [4, 2]])
    pixels = np.arange(3 * sizes.prod(1).sum(), dtype=np.uint8)
    whole = WholeImages(pixels, sizes)
    train, test = ImageView(whole, np.array([3, 1])), ImageView(whole, np.array([0, 2]))
    parts = dataset(train, test)
    parts.train = ImageSet(train, np.array([0, 1]), ("a", "b"))
    parts.test = ImageSet(test, np.array([0, 1]), ("c", "d"))
    kept = training_data(parts).train.images
    both = np.arange(2)
    assert np.array_equal(kept[both], train[both]) and np.array_equal(kept.sizes, train.sizes)
    assert len(kept.pixels) == 3 * (8 + 6)


def test_images_apart_are_kept_as_they_are(mapped, tmp_path):
    own = WHOLE[:4].copy()
    assert training_data(dataset(own, WHOLE[4:].copy())).train.images is own
    np.save(tmp_path / "other.npy", WHOLE[4:])
    other = np.load(tmp_path / "other.npy", mmap_mode="r")
    kept = ImageView(mapped, TRAIN)
    assert training_data(dataset(kept, other)).train.images is kept


def test_a_refusal_counts_even_where_it_is_swallowed():
    refuse_while_training("toy")
    with pytest.raises(DatasetRefused, match="the dataset toy was asked for"):
        with training_phase():
            try:
                refuse_while_training("toy")
            except DatasetRefused:
                pass
    with training_phase():
        pass
