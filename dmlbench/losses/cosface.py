"""CosFace: a softmax over cosines whose target class must win by a margin in cosine.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy


class CosFaceLoss(ProxyLoss):
    """CosFace loss (large-margin cosine loss).

    Cross-entropy of softmax_c(scale · (cos(x, p_c) − margin · [c is the target class])).

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    margin: taken from the target class's cosine, at least 0.
    scale: factor of the cosines, above 0.

    The proxies (C, D) start from a standard normal distribution.

    Authors' code: none in PyTorch. Equal to that of the authors of ArcFace, with margin = 0.4 there
    by default.

    Wang, Wang, Zhou, Ji, Gong, Zhou, Li, Liu, CosFace: Large Margin Cosine Loss for Deep Face
    Recognition, CVPR 2018 (arXiv 1801.09414).
    """

    name = "cosface"

    def __init__(
        self, num_classes: int, embedding_dim: int, margin: float = 0.35, scale: float = 64.0
    ):
        super().__init__(num_classes, embedding_dim)
        self.margin = number(self.name, "margin", margin, ge=0)
        self.scale = number(self.name, "scale", scale, gt=0)
        nn.init.normal_(self.proxies)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = cosine_to_proxies(embeddings, self.proxies)  # (B, C)
        return scaled_cross_entropy(
            cosine, labels, self.scale, on_target=lambda s: (s - self.margin, None)
        )
