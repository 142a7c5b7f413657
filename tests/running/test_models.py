"""Trained models: kept, loaded again, and the same embeddings as those that were evaluated."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

import dmlbench
from dmlbench.data.transforms import batch_of
from dmlbench.datasets.folder import Folder
from dmlbench.errors import UsageError, VerificationError
from dmlbench.plan.recipe import Input
from dmlbench.training.network import ImageTransform
from dmlbench.training.random_states import moved_since, random_states

pytestmark = pytest.mark.slow


def evaluated(out: Path, trial) -> np.ndarray:
    return load_file(out / trial.embeddings.path)["embeddings"]


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@torch.no_grad()
def embedded(model, images) -> np.ndarray:
    return model(model.transform.batch(torch.from_numpy(np.asarray(images)))).numpy()


@pytest.fixture(scope="module")
def trained(tmp_path_factory, module_tiny):
    """An ensemble with a head per loss, reduced by PCA, and the folder that it was trained in."""
    out = tmp_path_factory.mktemp("trained")
    given = {**module_tiny, "overrides": {**module_tiny["overrides"], "recipe.pca_dim": 3}}
    (entry,) = dmlbench.run(["triplet", "ms"], ["wedl"], out=out, singles=False, **given)
    return entry, out


@pytest.fixture(scope="module")
def module_tiny(tmp_path_factory):
    return {
        "dataset": "glyphs(classes=24, images_per_class=6)",
        "seeds": 2,
        "jobs": 2,
        "device": "cpu",
        "clustering": False,
        "overrides": {
            "recipe.epochs": 1,
            "recipe.validate_every": 1,
            "recipe.input.size": 16,
            "recipe.input.resize": 16,
            "recipe.batch.classes": 6,
            "recipe.batch.images": 2,
            "recipe.embedding_dim": 8,
        },
    }


def test_a_loaded_model_gives_the_embeddings_that_were_evaluated(trained):
    entry, out = trained
    images = dmlbench.load_dataset(entry.dataset.name, image_size=16, **entry.dataset.params).test
    before = random_states()
    for trial in entry.trials:
        model = dmlbench.load_model(entry.entry_id[:8], seed=trial.seed, leaderboards=out)
        found = embedded(model, images.images[np.arange(len(images))])
        assert found.shape == (len(images), 3)
        np.testing.assert_allclose(found, unit(evaluated(out, trial)), atol=1e-5)
    assert moved_since(before) == []
    first = dmlbench.load_model(entry.entry_id, leaderboards=out)
    assert np.array_equal(
        embedded(first, images.images[np.arange(3)]),
        embedded(
            dmlbench.load_model(entry.entry_id, seed=0, leaderboards=out),
            images.images[np.arange(3)],
        ),
    )


def test_a_picture_and_its_file_are_transformed_alike(trained, tmp_path):
    entry, out = trained
    model = dmlbench.load_model(entry.entry_id, leaderboards=out)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    one = model.transform(tmp_path / "photo.png")
    assert one.shape == (3, 16, 16) and torch.equal(one, model.transform(Image.fromarray(pixels)))
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UsageError, match=r"text.png is left out: not an image"):
        model.transform(tmp_path / "text.png")


@pytest.mark.parametrize("keep", ["middle", "whole"])
def test_an_image_file_is_seen_as_the_same_file_in_a_dataset(tmp_path, keep):
    rng = np.random.default_rng(0)
    for label in "abcd":
        (tmp_path / label).mkdir()
        for side in (30, 47):
            pixels = rng.integers(0, 256, (side, 41, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / label / f"{side}.png")
    data = Folder(str(tmp_path), image_size=20, whole_images=keep == "whole").test
    transform = ImageTransform(Input(size=16, resize=20, keep=keep), (0.5,) * 3, (0.2,) * 3)
    expected = transform.batch(*batch_of(data.images, np.arange(4), torch.device("cpu")))
    found = torch.stack([transform(tmp_path / one) for one in data.ids])
    assert torch.equal(found, expected)


def test_weights_of_another_training_and_none_at_all_are_refused(trained, tmp_path):
    entry, out = trained
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    first, second = (
        (copy / trial.embeddings.path).with_name("weights.safetensors") for trial in entry.trials
    )
    shutil.copy(second, first)
    with pytest.raises(VerificationError, match="weights of another training"):
        dmlbench.load_model(entry.entry_id, seed=0, leaderboards=copy)
    first.write_bytes(b"damaged")
    with pytest.raises(VerificationError, match="does not hold the weights of a trial"):
        dmlbench.load_model(entry.entry_id, seed=0, leaderboards=copy)
    first.unlink()
    with pytest.raises(UsageError, match="No weights are kept for seed 0"):
        dmlbench.load_model(entry.entry_id, seed=0, leaderboards=copy)
    with pytest.raises(UsageError, match=r"no completed seed 7; it has \[0, 1\]"):
        dmlbench.load_model(entry.entry_id, seed=7, leaderboards=copy)
    with pytest.raises(UsageError, match="no completed trial of split 1"):
        dmlbench.load_model(entry.entry_id, split=1, leaderboards=copy)


def test_weights_are_left_out_by_option(module_tiny, tmp_path):
    given = {**module_tiny, "seeds": 1}
    (bare,) = dmlbench.run(["ms"], out=tmp_path / "bare", keep_weights=False, **given)
    assert not list(tmp_path.rglob("weights.safetensors"))
    (kept,) = dmlbench.run(["ms"], out=tmp_path / "kept", **given)
    assert len(list(tmp_path.rglob("weights.safetensors"))) == 1
    assert bare.trials[0].metrics == kept.trials[0].metrics


def test_a_frozen_backbone_is_built_from_its_own_weights(module_tiny, tmp_path):
    given = {**module_tiny, "seeds": 1, "recipe": "frozen", "backbone": "resnet-mini"}
    overrides = {**given.pop("overrides"), "recipe.epochs": 1}
    (entry,) = dmlbench.run(["ms"], out=tmp_path, pretrained=False, overrides=overrides, **given)
    images = dmlbench.load_dataset(entry.dataset.name, image_size=16, **entry.dataset.params).test
    found = embedded(
        dmlbench.load_model(entry.entry_id, leaderboards=tmp_path),
        images.images[np.arange(len(images))],
    )
    np.testing.assert_allclose(found, unit(evaluated(tmp_path, entry.trials[0])), atol=1e-5)
    (weights,) = tmp_path.rglob("weights.safetensors")
    assert not any("backbone" in name for name in load_file(weights))
