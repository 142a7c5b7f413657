"""Requests that were misread, or refused by a traceback."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import dmlbench
from dmlbench import api
from dmlbench.backbones.timm_names import check_timm_tag
from dmlbench.backbones.weight_files import weights_reference
from dmlbench.data.images import DatasetError
from dmlbench.datasets.getting.archive import ArchiveError, Limits, unpack
from dmlbench.datasets.getting.download import DownloadError, download
from dmlbench.datasets.glyphs import Glyphs
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.fetch import fetch_text
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plan.trial_keys import seeds_of
from dmlbench.plugins.loading import load_plugins


def _plan(**options):
    return configurations_of(Request(**options), load_plugins())


@pytest.mark.parametrize("key", ["images", "classes"])
@pytest.mark.parametrize("loss", ["triplet", "ms", "supcon", "smooth-ap", "contrastive"])
def test_row_08_batches_without_a_pair_are_refused(key: str, loss: str) -> None:
    overrides = {f"recipe.batch.{key}": 1}
    with pytest.raises(UsageError, match=f"recipe.batch.{key}=1"):
        _plan(losses=["arcface", loss], overrides=overrides)
    # Proxies and a memory stand in for what the batch lacks.
    assert _plan(losses=["arcface", "proxy-nca"], overrides=overrides)
    assert _plan(losses=["cross-batch-memory"], overrides=overrides)
    assert _plan(losses=[loss], overrides=overrides | {"recipe.batch.sampler": "random"})


def test_row_17_glyphs_are_bounded_before_they_are_drawn() -> None:
    with pytest.raises(DatasetError, match="16,000,000 images.*too many"):
        Glyphs(classes=1600, images_per_class=10_000)
    with pytest.raises(DatasetError, match="4 GiB"):
        Glyphs(classes=1600, images_per_class=20, image_size=512)


def test_row_22_a_pipe_is_no_weights_and_no_recipe(tmp_path: Path) -> None:
    for name in ("x.pth", "x.safetensors", "x.toml"):
        os.mkfifo(tmp_path / name)
    for name in ("x.pth", "x.safetensors"):
        with pytest.raises(UsageError, match=f"{name} are not a regular file"):
            _plan(backbone="resnet18", weights=tmp_path / name)
        with pytest.raises(UsageError, match=f"{name} are not a regular file"):
            weights_reference(str(tmp_path / name))
    with pytest.raises(UsageError, match="x.toml is not a regular file"):
        _plan(recipe=str(tmp_path / "x.toml"))


@pytest.mark.parametrize("tag", ["nope", "", "a.b", "A1_IN1K"])
def test_row_27_a_tag_that_timm_lacks_names_those_there_are(tag: str) -> None:
    with pytest.raises(UsageError, match=f"no weights with the tag '{tag}'.*a1_in1k, "):
        _plan(backbone=f"resnet18.{tag}", pretrained=False)
    with pytest.raises(UsageError, match="It has none; use resnet18_that_is_new"):
        check_timm_tag(f"resnet18_that_is_new.{tag}")


def test_row_27_tags_that_timm_has_are_found() -> None:
    import timm

    for name in timm.list_pretrained()[::97]:
        check_timm_tag(name)


def test_row_30_a_text_is_a_list_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Request] = []

    def stop(request: Request, registry: object) -> None:
        seen.append(request)
        raise UsageError("seen")

    monkeypatch.setattr(api, "make_plan", stop)
    for losses, combiners in (("triplet", "learned"), ("triplet(margin=0.1), ms", "wedl,wel")):
        with pytest.raises(UsageError, match="seen"):
            dmlbench.run(losses=losses, combiners=combiners)
    assert [(r.losses, r.combiners) for r in seen] == [
        (["triplet"], ["learned"]),
        (["triplet(margin=0.1)", "ms"], ["wedl", "wel"]),
    ]


@pytest.mark.parametrize(
    "given, meant",
    [
        (np.int64(2), [0, 1]),
        (np.arange(2), [0, 1]),
        (torch.arange(2), [0, 1]),
        (np.array(2), [0, 1]),
        (torch.tensor(2), [0, 1]),
        ((5, np.uint8(3)), [5, 3]),
        (range(2, 4), [2, 3]),
    ],
)
def test_row_30_seeds_are_whole_numbers_of_any_kind(given, meant) -> None:
    found = seeds_of(given)
    assert found == meant and all(type(seed) is int for seed in found)


@pytest.mark.parametrize(
    "given",
    ["3", "012", b"3", 1.0, [1.0], [True], True, None, [None], {1: 2}, np.array([0.5]), [[1]], [],
     0, -1, [-1], [1, 1], range(10**12), [float("nan")]],
)  # fmt: skip
def test_row_30_other_seeds_are_refused(given) -> None:
    with pytest.raises(UsageError, match="[Ss]eeds"):
        seeds_of(given)


def test_row_31_numpy_labels_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="torch.as_tensor"):
        dmlbench.load_loss("triplet")(torch.randn(4, 8), np.arange(4) // 2)


def test_row_36_a_zip_with_an_empty_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        info = zipfile.ZipInfo("x")
        info.filename = ""
        archive.writestr(info, b"content")
    with pytest.raises(ArchiveError, match="empty.zip"):
        unpack(tmp_path / "empty.zip", tmp_path / "out", Limits(100, 10))
    assert not (tmp_path / "out").exists()


def test_row_37_an_address_with_letters_outside_ascii(web) -> None:
    web.files["b%C3%B6rd/%C3%BC%20x.json"] = b"text"
    assert fetch_text(f"{web.url}börd/ü x.json#part") == "text"
    assert fetch_text(f"{web.url}b%C3%B6rd/%C3%BC%20x.json") == "text"
    with pytest.raises(UsageError, match="no-such-höst.invalid.*cannot be fetched"):
        fetch_text("http://no-such-höst.invalid/ü.json")
    with pytest.raises(UsageError, match="cannot be fetched"):
        fetch_text(f"http://{'ü' * 100}/x.json")


def test_row_37_numbers_of_thousands_of_digits() -> None:
    with pytest.raises(UsageError, match="too many digits: 6,000"):
        _plan(losses=[f"triplet(margin={'9' * 6000})"])


def test_row_37_a_download_from_an_address_with_letters_outside_ascii(web, tmp_path) -> None:
    web.files["b%C3%B6rd/%C3%BC.tgz"] = b"content"
    assert download(f"{web.url}börd/ü.tgz", tmp_path / "x").num_bytes == 7
    for address in ("http://[", f"http://{'ü' * 100}/x"):
        with pytest.raises(DownloadError, match="not an address"):
            download(address, tmp_path / "y")


@pytest.mark.parametrize("digits", [8, 30, 400])
@pytest.mark.parametrize(
    "key",
    ["epochs", "embedding_dim", "batch.classes", "batch.micro", "input.size", "frozen_epochs"],
)
def test_numbers_of_a_recipe_are_bounded(key: str, digits: int) -> None:
    for value in (10**digits, -(10**digits)):
        with pytest.raises(UsageError, match=f"recipe.{key}"):
            _plan(losses=["arcface"], overrides={f"recipe.{key}": value})


def test_parameters_are_numbers_that_torch_holds() -> None:
    for losses in (f"triplet(margin={10**400})", f"triplet(margin=-{2**64})"):
        with pytest.raises(UsageError, match="margin must be a number, not one so large"):
            _plan(losses=[losses])
    with pytest.raises(UsageError, match="classes must be a number"):
        _plan(losses=["triplet"], dataset=f"glyphs(classes={10**400})")
