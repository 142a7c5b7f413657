"""The shared backbone with its embedding heads.

Legend: B batch, F feature dimension, D_j dimension of head j.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional


class EmbeddingModel(nn.Module):
    """A backbone and one linear head per embedding.

    backbone: images (B, 3, H, W) -> features (B, F), with ``num_features``.
    head_dims: dimension of each head.
    layer_norm: normalise the features before the heads, without weights (ProxyNCA++, Teh, DeVries,
        Taylor, ECCV 2020).
    """

    def __init__(
        self, backbone: nn.Module, head_dims: Sequence[int], layer_norm: bool = False
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.layer_norm = layer_norm
        self.heads = nn.ModuleList(nn.Linear(backbone.num_features, dim) for dim in head_dims)

    def embed(self, features: Tensor) -> list[Tensor]:
        """L2-normalised embeddings, (B, D_j) each, from features (B, F)."""
        return self.normalise(self.outputs(features))

    def outputs(self, features: Tensor) -> list[Tensor]:
        """What the heads make of features (B, F), before normalisation, (B, D_j) each."""
        if self.layer_norm:
            features = functional.layer_norm(features, features.shape[1:])
        return [head(features) for head in self.heads]

    @staticmethod
    def normalise(outputs: Sequence[Tensor]) -> list[Tensor]:
        """L2-normalised rows of each output."""
        return [functional.normalize(output, dim=1) for output in outputs]

    def freeze_batch_norm(self) -> None:
        """Keep the running statistics of batch normalisation; its scale and shift still learn."""
        for module in self.backbone.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
