"""Folders of images whose layout was misread, and caches that believed dates."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from words import refused

from dmlbench.data import decode
from dmlbench.data.images import DatasetError
from dmlbench.datasets.folder import Folder
from dmlbench.errors import UsageError
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plugins.loading import load_plugins

REID = ("train", "val", "train_all", "query", "gallery", "multi-query", "test")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))


def _images(folder: Path, classes: str = "abcd", form: str = "png", first: int = 0) -> Path:
    for number, name in enumerate(classes, first):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            pixels = np.random.default_rng([number, i]).integers(0, 255, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.{form}")
            os.utime(folder / name / f"{i}.{form}", (1e9, 1e9))
    return folder


def _load(root: Path, **options) -> Folder:
    return Folder(root=str(root), image_size=8, **options)


@pytest.mark.parametrize(
    "names",
    [
        REID,
        ("bounding_box_train", "bounding_box_test", "query", "gt_bbox"),
        ("train", "val"),
        ("Train", "Test"),
        ("train", "query", "gallery", "test"),
        ("train2017", "val2017"),
    ],
)
def test_row_06_directories_of_splits_are_no_classes(tmp_path: Path, names) -> None:
    for number, name in enumerate(names):
        _images(tmp_path / "reid" / name, first=4 * number)
    with refused(DatasetError):
        _load(tmp_path / "reid")
    if len(names) > 3:
        on_purpose = _load(tmp_path / "reid", split="half")
        assert len(on_purpose.train.class_names) == (len(names) + 1) // 2


def test_row_06_one_name_of_a_split_may_be_a_class(tmp_path: Path) -> None:
    root = _images(tmp_path / "things", "abc")
    _images(root / "x").rename(root / "train")
    assert _load(root).test.class_names == ("c", "train")


@pytest.mark.parametrize("how", ["rename", "in place"])
def test_row_07_swapped_files_of_equal_size_and_date_are_seen(tmp_path: Path, how: str) -> None:
    root = _images(tmp_path / "bmps", form="bmp")
    before = _load(root)
    one, other = root / "a" / "0.bmp", root / "b" / "0.bmp"
    if how == "rename":
        one.rename(tmp_path / "aside")
        other.rename(one)
        (tmp_path / "aside").rename(other)
    else:
        contents = one.read_bytes(), other.read_bytes()
        other.write_bytes(contents[0])
        one.write_bytes(contents[1])
        os.utime(one, (1e9, 1e9))
        os.utime(other, (1e9, 1e9))
    after = _load(root)
    assert after.content_sha256 != before.content_sha256
    first, third = (np.asarray(x.train.images[np.array([0, 3])]) for x in (before, after))
    assert (first == third[::-1]).all()


def test_row_07_a_copy_of_the_same_content_is_not_decoded_again(tmp_path, monkeypatch) -> None:
    root = _images(tmp_path / "bmps", form="bmp")
    before = _load(root)
    shutil.copytree(root, tmp_path / "copy")  # other inodes, the same dates
    shutil.rmtree(root)
    (tmp_path / "copy").rename(root)
    monkeypatch.setattr(decode, "_decode", None)
    assert _load(root).content_sha256 == before.content_sha256
    monkeypatch.setattr(decode, "_contents", None)  # the new inodes are known now
    assert _load(root).content_sha256 == before.content_sha256


@pytest.mark.parametrize("given", ["root=2024", "root=true", "root=[1]", "root=1.5"])
def test_row_34_a_root_that_is_no_text(given: str) -> None:
    with refused(UsageError):
        configurations_of(Request(losses=["triplet"], dataset=f"folder({given})"), load_plugins())
    with refused(DatasetError):
        Folder(root=2024)
    with refused(DatasetError):
        Folder(root=".", csv=2024)


@pytest.mark.parametrize("columns", ["path,label,label", "path,label,split,split", "path, path"])
def test_row_34_a_column_twice(tmp_path: Path, columns: str) -> None:
    (tmp_path / "x.csv").write_text(f"{columns}\na.png,a,b,c\n")
    with refused(DatasetError):
        _load(tmp_path, csv="x.csv")
