"""Weight files: by content, read without running code, and refused by the keys that do not fit."""

import os
import pickle
import shutil

import pytest
import safetensors.torch
import timm
import torch
from words import refused

from dmlbench.backbones.timm_model import TimmBackbone
from dmlbench.backbones.weight_files import weights_path, weights_reference
from dmlbench.errors import UsageError
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan

MODEL = "test_resnet"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))


def saved_state(classes=10, seed=5):
    torch.manual_seed(seed)
    return timm.create_model(MODEL, num_classes=classes).state_dict()


def write(state, path):
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


def built(path):
    return TimmBackbone(32, MODEL, weights=path)


WRAPPED = {
    "plain": lambda state: state,
    "container": lambda state: {"epoch": 3, "state_dict": state, "lr": [0.1]},
    "data parallel": lambda state: {"model": {f"module.{k}": v for k, v in state.items()}},
    "half": lambda state: {k: v.half() if v.is_floating_point() else v for k, v in state.items()},
    "no counters": lambda state: {
        k: v for k, v in state.items() if not k.endswith("num_batches_tracked")
    },
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_a_state_dict_is_loaded_and_its_classifier_is_not(tmp_path, wrapping):
    state = saved_state()
    backbone = built(write(WRAPPED[wrapping](state), tmp_path / "weights.pth"))
    for name, value in backbone.network.state_dict().items():
        tolerance = {"atol": 1e-3, "rtol": 1e-3} if wrapping == "half" else {"atol": 0, "rtol": 0}
        torch.testing.assert_close(value, state[name], **tolerance)
    assert not any(name.startswith("fc.") for name in backbone.network.state_dict())


def test_safetensors_give_the_same_network(tmp_path):
    state = saved_state()
    one = built(write(state, tmp_path / "weights.pth"))
    other = built(write(state, tmp_path / "weights.safetensors"))
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(one.eval()(images), other.eval()(images))


def test_keys_that_do_not_fit_are_named(tmp_path):
    state = saved_state()
    del state["conv1.0.weight"]
    state["layer9.weight"] = torch.zeros(1)
    state["bn1.weight"] = torch.zeros(3)
    with pytest.raises(UsageError) as refused:
        built(write(state, tmp_path / "w.pth"))
    text = str(refused.value)
    assert "missing: conv1.0.weight;" in text and "unexpected: layer9.weight;" in text
    assert "bn1.weight (3,) for (32,)" in text and "w.pth" in text


def test_another_models_weights_name_a_few_keys_and_count_the_rest(tmp_path):
    torch.manual_seed(0)
    other = timm.create_model("test_vit", num_classes=0).state_dict()
    named = r"missing: conv1\.0\.weight, .* and \d+ more; unexpected: cls_token, .* and \d+ more"
    with pytest.raises(UsageError, match=named):
        built(write(other, tmp_path / "w.pth"))


def test_weights_that_are_not_finite(tmp_path):
    state = saved_state()
    state["conv1.0.weight"][0] = float("nan")
    with refused(UsageError, "conv1.0.weight"):
        built(write(state, tmp_path / "w.pth"))


class Hostile:
    def __reduce__(self):
        return os.mkdir, (os.environ["HOSTILE"],)


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path, monkeypatch):
    monkeypatch.setenv("HOSTILE", str(tmp_path / "ran"))
    path = tmp_path / "w.pth"
    torch.save({"state_dict": Hostile()}, path)
    with pytest.raises(UsageError, match=r"w\.pth.*without running code"):
        built(str(path))
    path.write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(UsageError, match="without running code"):
        built(str(path))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": "text"}, {"state_dict": {"a": 3}}])
def test_a_file_without_a_state_dict(tmp_path, content):
    with refused(UsageError, "w.pth"):
        built(write(content, tmp_path / "w.pth"))


def test_a_truncated_file(tmp_path):
    for name in ("w.pth", "w.safetensors"):
        path = tmp_path / name
        write(saved_state(), path)
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(UsageError, match=name):
            built(str(path))


def test_a_reference_finds_its_file_and_notices_a_change(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"one")
    reference = weights_reference(str(path))
    assert reference.startswith("sha256:") and weights_reference(reference) == reference
    assert weights_path(reference) == path
    # The same content elsewhere is the same configuration.
    copy = tmp_path / "copy.pth"
    shutil.copy(path, copy)
    assert weights_reference(str(copy)) == reference and weights_path(reference) == copy
    copy.write_bytes(b"two")
    with refused(UsageError):
        weights_path(reference)
    copy.unlink()
    with refused(UsageError):
        weights_path(reference)


def backbone_of(**request):
    plan = make_plan(Request(losses=["ms"], **request), load_plugins())
    return plan.configurations[0].backbone


def test_the_configuration_names_the_hash_and_no_path(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"PK\x03\x04 as torch.save begins")
    backbone = backbone_of(backbone=MODEL, weights=path, recipe="standard")
    assert backbone.params == {
        "model": MODEL, "pretrained": False, "weights": weights_reference(str(path)),
        "pooling": None,
    }  # fmt: skip
    assert backbone_of(backbone=f"timm(model={MODEL},weights='{path}')") == backbone


def test_weights_where_none_can_go(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"PK\x03\x04 as torch.save begins")
    with refused(UsageError, "resnet-mini"):
        backbone_of(weights=path)
    with refused(UsageError, "absent"):
        backbone_of(backbone=MODEL, weights=tmp_path / "absent")
    both = backbone_of(backbone=MODEL, weights=path, pretrained=True).params
    with refused(UsageError):
        TimmBackbone(32, **both)
