"""Trained models: kept, loaded again, and the same embeddings as those that were evaluated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file

import dmlbench
from dmlbench.cli import cli
from dmlbench.data.transforms import batch_of
from dmlbench.datasets.folder import Folder
from dmlbench.errors import DmlbenchError, UsageError, VerificationError
from dmlbench.plan.recipe import Input
from dmlbench.running import export
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


@pytest.fixture
def photos(tmp_path):
    """Two classes of three pictures, a broken one, and what is no picture."""
    folder = tmp_path / "photos"
    rng = np.random.default_rng(0)
    for label in ("cat", "dog"):
        (folder / label).mkdir(parents=True)
        for number in range(3):
            pixels = rng.integers(0, 256, (20 + number, 30, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    (folder / "dog" / "broken.jpg").write_bytes(b"no image")
    (folder / "cat" / "notes.txt").write_text("no image either")
    (folder / ".hidden.png").write_text("")
    return folder


def command(*arguments):
    found = CliRunner().invoke(cli, [str(one) for one in arguments], standalone_mode=False)
    if isinstance(found.exception, DmlbenchError):
        raise found.exception
    return found


def test_a_folder_is_embedded_with_its_paths_and_classes(trained, photos, tmp_path):
    entry, out = trained
    given = (entry.entry_id, photos, "--leaderboards", out, "--device", "cpu")
    done = command("embed", *given, "--out", tmp_path / "new" / "e.safetensors", "--json")
    assert done.return_value == 1 and "dog/broken.jpg is left out: not an image" in done.stderr
    found = json.loads(done.stdout)
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(3)]
    assert found["left_out"] == {"dog/broken.jpg": "not an image"} and found["num_images"] == 6
    with safe_open(tmp_path / "new" / "e.safetensors", "np") as file:
        metadata, rows = file.metadata(), file.get_tensor("embeddings")
        assert file.get_tensor("labels").tolist() == [0, 0, 0, 1, 1, 1]
    assert json.loads(metadata["files"]) == names and json.loads(metadata["class_names"]) == [
        "cat",
        "dog",
    ]
    model = dmlbench.load_model(entry.entry_id, leaderboards=out)
    with torch.no_grad():
        alone = model(torch.stack([model.transform(photos / name) for name in names]))
    np.testing.assert_allclose(rows, alone.numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_what_embed_writes_is_what_evaluate_reads(trained, photos, tmp_path):
    entry, out = trained
    (photos / "dog" / "broken.jpg").unlink()
    given = (entry.entry_id, photos, "--leaderboards", out, "--device", "cpu", "--seed", 1)
    done = command("embed", *given, "--out", tmp_path / "e.npy")
    assert (
        done.return_value == 0 and "6 images of 2 classes, 3 dimensions, by seed 1" in done.output
    )
    one = command("evaluate", tmp_path / "e.npy", "--labels", tmp_path / "e.csv", "--json")
    command("embed", *given, "--out", tmp_path / "e.safetensors")
    other = command("evaluate", tmp_path / "e.safetensors", "--json")
    assert json.loads(one.stdout)["metrics"] == json.loads(other.stdout)["metrics"]


def test_pictures_beside_the_classes_leave_no_labels(trained, photos, tmp_path):
    entry, out = trained
    (photos / "cat" / "0.png").rename(photos / "0.png")
    given = (entry.entry_id, photos, "--leaderboards", out, "--device", "cpu")
    command("embed", *given, "--out", tmp_path / "e.npy")
    assert (tmp_path / "e.csv").read_text().splitlines()[:2] == ["path", "0.png"]


@pytest.mark.parametrize(
    "folder, out, message",
    [
        ("photos", "e.txt", r"--out .*e.txt must end in .safetensors or .npy"),
        ("nothing", "e.npy", "nothing is not a folder of images"),
        ("empty", "e.npy", "empty holds no image"),
        (
            "broken",
            "e.npy",
            "No image of .*broken can be decoded; the first is a.png: not an image",
        ),
    ],
)
def test_what_embed_cannot_do_is_refused(trained, photos, tmp_path, folder, out, message):
    entry, board = trained
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    given = (entry.entry_id, tmp_path / folder, "--leaderboards", board, "--device", "cpu")
    with pytest.raises(UsageError, match=message):
        command("embed", *given, "--out", tmp_path / out)
    assert not (tmp_path / out).exists()


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_an_export_gives_the_embeddings_of_the_model(trained, tmp_path, kind):
    if kind == "onnx":
        for package in ("onnx", "onnxruntime", "onnxscript"):
            pytest.importorskip(package)
    entry, out = trained
    file = tmp_path / "model"
    done = command(
        "export", entry.entry_id, "--format", kind, "--out", file, "--leaderboards", out, "--json"
    )
    found = json.loads(done.stdout)
    assert found["difference"] < 1e-5 and found["size"] == 16 and found["dimension"] == 3
    stored = torch.randint(0, 256, (7, 3, 16, 16), dtype=torch.uint8)
    model = dmlbench.load_model(entry.entry_id, leaderboards=out)
    with torch.no_grad():
        wanted = model(model.transform.batch(stored)).numpy()
    if kind == "torchscript":
        notes = {"dmlbench.json": ""}
        given = torch.jit.load(file, _extra_files=notes)(stored / 255).numpy()
        about = json.loads(notes["dmlbench.json"])
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(file)
        (given,) = session.run(None, {"images": (stored / 255).numpy()})
        about = json.loads(session.get_modelmeta().custom_metadata_map["dmlbench.json"])
    np.testing.assert_allclose(given, wanted, atol=1e-5)
    assert about["entry_id"] == entry.entry_id and about["resize"] == 16


def test_an_export_that_gives_other_embeddings_is_not_kept(trained, tmp_path, monkeypatch):
    entry, out = trained
    load = export._load_torchscript
    wrong = (export._write_torchscript, lambda path: lambda images: load(path)(images) + 0.01)
    monkeypatch.setitem(export._KINDS, "torchscript", wrong)
    given = ("--format", "torchscript", "--out", tmp_path / "model", "--leaderboards", out)
    with pytest.raises(export.ExportFailed, match="gives other embeddings than the model"):
        command("export", entry.entry_id, *given)
    assert not (tmp_path / "model").exists()
