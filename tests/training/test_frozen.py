"""The frozen track: one pass over the images for every configuration and seed, and heads only."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from torch import nn
from words import refused

import dmlbench
from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import TestTransform
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.plan.recipe import Input, Recipe, load_recipe
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.training.embed import backbone_features
from dmlbench.training.frozen_features import FrozenFeatures

CPU = torch.device("cpu")


def without_times(entry) -> dict:
    values = entry.model_dump()
    for trial in values["trials"]:
        del trial["cost"], trial["environment"], trial["finished_at"]
    return values


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def frozen(tiny, cache, tmp_path) -> dict:
    """A run of the frozen recipe on a timm model whose weights lie in a file."""
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet").state_dict(), weights)
    return {**tiny, "recipe": "frozen", "backbone": "test_resnet", "weights": weights}


def test_one_pass_serves_every_configuration_and_seed(frozen, cache, tmp_path):
    events = []
    entries = dmlbench.run(
        ["ms", "proxy-anchor"], ["wedl", "pcgrad"], out=tmp_path / "out", watch=events.append,
        **frozen,
    )  # fmt: skip
    assert all(t.status == "completed" for e in entries for t in e.trials)
    done = [e.values for e in events if e.kind == "features_progress" and "images_done" in e.values]
    # One pass over each of the two splits, for four configurations × two seeds, two at a time.
    assert sorted((v["split"], v["images_done"], v["images"]) for v in done) == [
        ("test", 96, 96), ("train", 96, 96),
    ]  # fmt: skip
    files = list(cache.glob("features/*/images.npy"))
    assert [np.load(file).shape for file in files] == [(96, 96)] * 2
    for entry in entries:
        assert entry.recipe["frozen"] and entry.backbone.weights_sha256
        assert entry.backbone.num_parameters > 100_000
        # The heads learned something.
        assert entry.trials[0].history[-1].objective < entry.trials[0].history[0].objective
        # The frozen and the trained are never one ranking, all else being equal.
        trained = entry.model_copy(update={"recipe": {**entry.recipe, "frozen": False}})
        assert group_key(trained) != group_key(entry)
    logs = [file.read_text() for file in (tmp_path / "out").glob(".trials/*/*/*/log.txt")]
    assert sum("features split=train images_done=96" in log for log in logs) == 1


def test_again_with_the_features_at_hand_gives_the_same_entries(frozen, cache, tmp_path):
    frozen |= {"seeds": 1, "jobs": 1}
    (one,) = dmlbench.run(["ms"], out=tmp_path / "one", **frozen)
    damaged, whole = cache.glob("features/*/images.npy")
    before = whole.stat().st_mtime_ns
    # A half-written store is noticed and made anew, at the same numbers.
    damaged.write_bytes(damaged.read_bytes()[:-5])
    (other,) = dmlbench.run(["ms"], out=tmp_path / "other", **frozen)
    assert without_times(one) == without_times(other)
    assert whole.stat().st_mtime_ns == before and np.load(damaged).shape == (96, 96)


@pytest.mark.parametrize("backbone", ["resnet-mini", "test_resnet"])
def test_random_features_must_be_asked_for(backbone):
    registry = load_plugins()
    request = {"losses": ["ms"], "recipe": "frozen", "backbone": backbone}
    thawed = {"overrides": {"recipe.pretrained": False}}
    if backbone == "test_resnet":
        make_plan(Request(**request), registry)  # its pretrained weights are asked for
        with refused(UsageError, "--no-pretrained"):
            untrained = {**request, "backbone": "timm(model=test_resnet, pretrained=false)"}
            make_plan(Request(**untrained), registry)
    else:
        with refused(UsageError, "--no-pretrained"):
            make_plan(Request(**request), registry)
    for asked in ({"pretrained": False}, thawed):
        (configuration,) = make_plan(Request(**request, **asked), registry).configurations
        assert not configuration.backbone.params.get("pretrained")


@pytest.mark.parametrize("name", ["augment", "batch.micro"])
def test_what_has_nothing_to_act_on_is_refused(name):
    value = [{"name": "flip"}] if name == "augment" else 8
    with pytest.raises(UsageError, match=f"recipe.{name} has nothing to act on"):
        load_recipe("frozen", {name: value})


class Pixels(nn.Module):
    """Features are a few of the pixels, so that they are known."""

    num_features = 4

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, images):
        assert not self.training and not torch.is_grad_enabled()
        self.passes += len(images) > 1  # not those that are looked at again one at a time
        return images.flatten(1)[:, :4]


def images(count=600, value=None):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, 3, 8, 8), dtype=np.uint8)
    if value is not None:
        pixels[-1] = value
    return ImageSet(pixels, np.arange(count) % 3, ("a", "b", "c"))


def features_of(backbone, made_from=None, std=1.0, tell=None):
    recipe = Recipe(name="t", input=Input(size=8, resize=8))
    transform = TestTransform(8, (0.0,) * 3, (std,) * 3)
    emit = (
        (lambda kind, values: tell.append(dict(values)))
        if tell is not None
        else (lambda kind, values: None)
    )
    return FrozenFeatures(backbone, transform, recipe, CPU, made_from or {"a": 1}, emit)


def test_features_are_those_of_the_backbone_in_the_order_of_the_images(cache):
    backbone, told = Pixels(), []
    given = images()
    out = features_of(backbone, tell=told).image_set("train", given)
    expected = given.images.reshape(600, -1)[:, :4] / np.float32(255)
    np.testing.assert_allclose(out.images, expected, atol=1e-6)
    assert isinstance(out.images, np.memmap) and out.images.dtype == np.float32
    assert np.array_equal(out.labels, given.labels) and out.class_names == given.class_names
    assert told[-1]["images_done"] == 600
    again = features_of(backbone).image_set("train", given)
    assert backbone.passes == 3 and np.array_equal(again.images, out.images)


def test_another_split_or_source_is_another_store(cache):
    backbone = Pixels()
    for made_from in ({"a": 1}, {"a": 2}):
        for split in ("train", "test"):
            features_of(backbone, made_from).image_set(split, images(10))
    assert backbone.passes == 4 and len(list(cache.glob("features/*/entry.json"))) == 4


def test_features_that_are_no_numbers_fail_the_trial_and_leave_nothing(cache):
    class Broken(Pixels):
        def forward(self, given):
            return super().forward(given) / given.flatten(1)[:, :1].where(
                given.flatten(1)[:, :1] > 0, torch.zeros(1)
            )

    with pytest.raises(
        TrialFailure, match=r"features of 1 test images \(image 599 is one\) are not finite"
    ):
        features_of(Broken()).image_set("test", _without_zeros_but_the_last(images(600, value=0)))
    assert not list(cache.glob("features/*/entry.json"))


def _without_zeros_but_the_last(given):
    given.images[:-1] = given.images[:-1].clip(1)
    return given


def test_two_at_once_make_one_pass(cache):
    """Whoever comes second waits for the first, and says so."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Pixels):
        def forward(self, given):
            begun.set()
            assert go_on.wait(30)
            return super().forward(given)

    first = threading.Thread(target=lambda: features_of(Slow()).image_set("train", images()))
    first.start()
    assert begun.wait(30)
    backbone, told = Pixels(), Waits(go_on)
    out = features_of(backbone, tell=told).image_set("train", images())
    first.join()
    assert backbone.passes == 0 and told == [{"split": "train", "waiting": True}]
    assert len(out.images) == 600


class Waits(list):
    """Lets the first go on once the second says that it waits."""

    def __init__(self, go_on):
        super().__init__()
        self.go_on = go_on

    def append(self, values):
        super().append(values)
        self.go_on.set()


@pytest.mark.parametrize("size", [32, 224])
def test_batches_are_as_large_as_the_memory_of_a_cpu_should_bear(size):
    seen = []

    class Counts(Pixels):
        def forward(self, given):
            seen.append(given.shape[0] * given.shape[-1] ** 2)
            return super().forward(given)

    recipe = Recipe(name="t", input=Input(size=size, resize=size))
    pixels = np.zeros((300, 1, size, size), dtype=np.uint8)
    transform = TestTransform(size, (0.5,) * 3, (1.0,) * 3)
    blocks = backbone_features(
        Counts().eval(),
        transform,
        recipe,
        CPU,
        ImageSet(pixels, np.zeros(300, np.int64), ("a",)),
        np.arange(300),
    )
    assert sum(len(block) for block in blocks) == 300
    assert max(seen) <= 2**20
