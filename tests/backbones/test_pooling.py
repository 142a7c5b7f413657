"""Pooling of a timm backbone: what comes out is the pooling of its last maps."""

import pytest
import timm
import torch

from dmlbench.backbones.timm_model import TimmBackbone
from dmlbench.errors import UsageError

MODEL = "test_resnet"


def outputs(pooling):
    """The features of some images, and the maps that they come from."""
    torch.manual_seed(0)
    backbone = TimmBackbone(64, MODEL, pooling=pooling).eval()
    images = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        return backbone, backbone(images), backbone.network.forward_features(images)


@pytest.mark.parametrize(
    "pooling, pooled",
    [
        (None, lambda maps: maps.mean((2, 3))),
        ("avg", lambda maps: maps.mean((2, 3))),
        ("max", lambda maps: maps.amax((2, 3))),
        ("avgmax", lambda maps: (maps.mean((2, 3)) + maps.amax((2, 3))) / 2),
        ("catavgmax", lambda maps: torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1)),
    ],
)
def test_the_features_are_the_pooled_maps(pooling, pooled):
    backbone, features, maps = outputs(pooling)
    assert maps.shape[2:] == (2, 2)
    torch.testing.assert_close(features, pooled(maps))
    assert backbone.num_features == features.shape[1]


def test_weights_of_a_file_fit_whatever_the_pooling(tmp_path):
    file = tmp_path / "weights.pt"
    torch.manual_seed(5)
    state = timm.create_model(MODEL, num_classes=10).state_dict()
    torch.save(state, file)
    backbone = TimmBackbone(64, MODEL, weights=str(file), pooling="max")
    for name, value in backbone.network.state_dict().items():
        assert torch.equal(value, state[name])


@pytest.mark.parametrize("pooling", ["median", ""])
def test_an_unknown_pooling_is_named(pooling):
    with pytest.raises(UsageError, match=f"{MODEL} has no pooling '{pooling}'.*avg, max"):
        TimmBackbone(64, MODEL, pooling=pooling)
