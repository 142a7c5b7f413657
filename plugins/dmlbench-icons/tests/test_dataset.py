"""The dataset as dmlbench loads it. All but the first tests need the icon packages (63 MB)."""

from __future__ import annotations

import importlib.metadata

import numpy as np
import pytest
from dmlbench_icons import dataset as module
from dmlbench_icons.dataset import Icons, read_classes
from dmlbench_icons.render import render
from dmlbench_icons.sets import SETS, require

from dmlbench.data.images import DatasetError, check_dataset, fingerprint
from dmlbench.data.training_phase import DatasetRefused, training_phase

FINGERPRINT = "028305faafe330a409a238af27624f3420b866d95378fa1cf0e64dcfee6e3e99"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def packages():
    for distribution in sorted({icons.distribution for icons in SETS} | {"resvg-py"}):
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{distribution} is not installed")


def without(monkeypatch, missing):
    """As if every package were there in its version except one."""

    def version(name):
        if name == missing:
            raise importlib.metadata.PackageNotFoundError(name)
        return {s.distribution: s.version for s in SETS}.get(name, "0.5.0")

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize("missing", ["justmyresource-lucide", "qtawesome", "resvg-py"])
def test_a_missing_package_is_named(monkeypatch, missing):
    without(monkeypatch, missing)
    with pytest.raises(DatasetError, match=rf"{missing} is missing.* pip install '{missing}=="):
        Icons()


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9")
    with pytest.raises(DatasetError, match=r"qtawesome is version 9\.9.*made of 1\.4\.2"):
        require("qtawesome", "1.4.2")


def test_other_drawings_under_the_same_versions_are_refused(monkeypatch):
    without(monkeypatch, None)
    drawings = {d: f"<svg>{d}</svg>" for owned in read_classes().values() for d in owned}
    monkeypatch.setattr(module, "read_all", lambda: drawings)
    with pytest.raises(DatasetError, match="other drawings than the dataset is made of"):
        Icons(image_size=8)
    monkeypatch.setattr(module, "read_all", dict)
    with pytest.raises(DatasetError, match="drawings are not in the installed packages"):
        Icons(image_size=8)


@pytest.mark.parametrize("size", [7, 1025, 64.0, "64", True])
def test_a_size_that_cannot_be(size):
    with pytest.raises(DatasetError, match="image_size must be an integer"):
        Icons(image_size=size)


def test_it_is_refused_while_a_trial_trains():
    with pytest.raises(DatasetRefused), training_phase():
        Icons()


def test_the_dataset_is_the_recorded_one(packages):
    icons = Icons()
    check_dataset(icons, "icons")
    assert icons.report == ()  # the pixels are the recorded ones
    assert fingerprint(icons) == FINGERPRINT
    one = icons.test.images[np.array([0])]
    assert one.shape == (1, 1, 64, 64) and one.dtype == np.uint8 and one.min() < 64
    # From the cache, the same.
    again = Icons()
    assert again.report == () and fingerprint(again) == FINGERPRINT
    index = np.arange(len(icons.train))
    assert (again.train.images[index] == icons.train.images[index]).all()


def test_neither_side_holds_images_of_the_other(packages):
    icons = Icons()
    training, testing = (part.images.images for part in (icons.train, icons.test))
    assert len(training) == len(icons.train) and len(testing) == len(icons.test)
    assert training.filename != testing.filename


def test_every_image_has_ink_and_paper(packages):
    icons = Icons()
    for part in (icons.train, icons.test):
        images = part.images[np.arange(len(part))]
        assert (images.min((1, 2, 3)) < 128).all() and (images.max((1, 2, 3)) > 128).all()


def test_drawing(packages):
    """Half of a square is ink, in the proportions of the view box and whatever its own size."""
    svg = '<svg width="5" height="9" viewBox="0 0 2 1" fill="currentColor"><path d="M0 0h1v1H0z"/>'
    image = render(svg + "</svg>", 8)
    expected = np.full((8, 8), 255)
    expected[2:6, :4] = 0
    assert (image == expected).all()
    with pytest.raises(ValueError, match="viewBox"):
        render("<svg></svg>", 8)
