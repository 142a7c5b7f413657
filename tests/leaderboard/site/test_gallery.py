"""Galleries from stored embeddings: shown where everything fits, else left out with the reason."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from words import refused

from dmlbench.data.images import fingerprint
from dmlbench.datasets.glyphs import Glyphs
from dmlbench.leaderboard.entries.trial import Artefact
from dmlbench.leaderboard.site.gallery import gallery
from dmlbench.leaderboard.site.pictures import LeftOut, Pictures
from dmlbench.plugins.loading import load_plugins

PARAMS = {"classes": 8, "images_per_class": 6, "seed": 1}


@pytest.fixture(scope="module")
def dataset():
    return Glyphs(**PARAMS, image_size=16)


@pytest.fixture
def scene(tmp_path, dataset, make_entry):
    """An entry on eight characters, its embeddings on disk, and where pictures go."""

    def make(tensors=None, path=".trials/x/embeddings.safetensors", **dataset_changes):
        labels = dataset.test.labels
        noise = np.random.default_rng(0).normal(size=(len(labels), 4))
        wanted = np.eye(4)[labels] + 0.45 * noise
        file = tmp_path / "lb" / ".trials" / "x" / "embeddings.safetensors"
        file.parent.mkdir(parents=True)
        save_file(tensors or {"embeddings": wanted.astype(np.float32), "labels": labels}, file)
        artefact = Artefact(
            path=path,
            sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
            num_bytes=file.stat().st_size,
        )
        entry = make_entry("triplet", [0.5, 0.5], recipe={"input": {"size": 16, "resize": 16}})
        right = {"params": PARAMS, "fingerprint": fingerprint(dataset)}
        first, second = entry.trials
        entry = entry.model_copy(update={
            "dataset": entry.dataset.model_copy(update=right | dataset_changes),
            "trials": [first, second.model_copy(update={"embeddings": artefact})],
        })  # fmt: skip
        pictures = Pictures(tmp_path / "site", load_plugins())
        return entry, [tmp_path / "lb"], pictures

    return make


def test_pictures_are_the_images_of_queries_and_neighbours(scene, dataset, tmp_path):
    entry, roots, pictures = scene()
    found = gallery(entry, roots, pictures)
    assert found.seed == "1" and found.right and found.wrong
    for right, queries in ((True, found.right), (False, found.wrong)):
        for query, neighbours in queries:
            assert neighbours[0].right is right
            for item in (query, *neighbours):
                index = int(item.file.rpartition("-")[2].removesuffix(".png"))
                assert item.name == dataset.test.class_names[dataset.test.labels[index]]
                with Image.open(tmp_path / "site" / item.file) as image:
                    assert (np.asarray(image) == dataset.test.images[index, 0]).all()
            assert all(n.right == (n.name == query.name) for n in neighbours)


def test_neighbours_are_those_of_the_protocols_similarity(scene, dataset):
    labels = dataset.test.labels
    # Every embedding is a multiple of one row or its neighbour: by cosine all of a kind are equal.
    length = 1.0 + labels + 0.01 * np.arange(len(labels))
    embeddings = np.stack([length, np.zeros(len(labels))], axis=1).astype(np.float32)
    entry, roots, pictures = scene({"embeddings": embeddings, "labels": labels})
    assert not gallery(entry, roots, pictures).right
    rules = entry.protocol.rules | {"similarity": "euclidean"}
    protocol = entry.protocol.model_copy(update={"rules": rules})
    by_distance = gallery(entry.model_copy(update={"protocol": protocol}), roots, pictures)
    assert by_distance.right and not by_distance.wrong


def reason(scene, **changes):
    entry, roots, pictures = scene(**changes)
    with pytest.raises(LeftOut) as left:
        gallery(entry, roots, pictures)
    return str(left.value)


def test_embeddings_that_are_not_there(scene, make_entry, tmp_path):
    assert "not there" in reason(scene, path=".trials/other/embeddings.safetensors")
    with refused(LeftOut):
        gallery(make_entry(), [tmp_path], Pictures(tmp_path, load_plugins()))


def test_embeddings_that_are_others(scene, tmp_path):
    entry, roots, pictures = scene()
    file = tmp_path / "lb" / ".trials" / "x" / "embeddings.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with refused(LeftOut):
        gallery(entry, roots, pictures)


@pytest.mark.parametrize("path", ["../secret.safetensors", "{outside}", "a\0b"])
def test_a_path_that_leads_out_is_not_followed(scene, tmp_path, path):
    outside = tmp_path / "secret.safetensors"
    entry, roots, pictures = scene(path=path.format(outside=outside))
    # The very bytes that the entry names: only where they lie is wrong.
    shutil.copy(tmp_path / "lb" / ".trials" / "x" / "embeddings.safetensors", outside)
    with refused(LeftOut):
        gallery(entry, roots, pictures)


def test_labels_in_another_order(scene, dataset):
    labels = dataset.test.labels[::-1].copy()
    tensors = {"embeddings": np.ones((len(labels), 4), np.float32), "labels": labels}
    assert "not in the order" in reason(scene, tensors=tensors)


def test_embeddings_that_are_no_numbers(scene, dataset):
    rows = np.full((len(dataset.test), 4), np.nan, np.float32)
    tensors = {"embeddings": rows, "labels": dataset.test.labels}
    assert "cannot be searched" in reason(scene, tensors=tensors)


def test_a_dataset_that_is_another_or_none(scene):
    assert "is not the one that the entry names" in reason(scene, fingerprint="0" * 64)


def test_a_dataset_that_is_not_installed(scene):
    assert "could not be built" in reason(scene, name="no-such-set")
