"""ArcFace: a softmax over cosines whose target class must win by a margin in angle.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy


class ArcFaceLoss(ProxyLoss):
    """ArcFace loss (additive angular margin).

    Cross-entropy of softmax_c(scale · cos(θ_c + margin · [c is the target class])), θ_c the angle
    between x and p_c.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    margin_degrees: added to the target class's angle, in [0, 180).
    scale: factor of the cosines, above 0.

    The proxies (C, D) start from a standard normal distribution. An embedding that points exactly
    along its proxy has the gradient 0, where the angle's own is infinite.

    Authors' code: equal value where angle and margin are within 180 degrees together. Deviations,
    as in pytorch-metric-learning: beyond them the target's logit keeps falling, and the gradient is
    that of the value, where theirs leaves out the slope of cos(θ + m) (cosine 0.98 to 0.99).

    Deng, Guo, Xue, Zafeiriou, ArcFace: Additive Angular Margin Loss for Deep Face Recognition,
    CVPR 2019 (arXiv 1801.07698).
    """

    name = "arcface"

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        margin_degrees: float = 28.6,
        scale: float = 64.0,
    ):
        super().__init__(num_classes, embedding_dim)
        margin = number(self.name, "margin_degrees", margin_degrees, ge=0, lt=180)
        self.margin_radians = math.radians(margin)
        self.scale = number(self.name, "scale", scale, gt=0)
        nn.init.normal_(self.proxies)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = cosine_to_proxies(embeddings, self.proxies)  # (B, C)
        return scaled_cross_entropy(
            cosine, labels, self.scale, on_target=lambda s: add_angle(s, self.margin_radians)
        )


def add_angle(cosine: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Return cos(θ + margin) from cos θ (any shape), `margin` in radians, and its slope.

    Past θ = π − margin, where the cosine would rise again, it is cos θ − margin · sin(margin), so
    a larger angle never costs less.
    """
    # Rounding can carry a cosine past 1, where the sine has no value and no slope.
    square, least = 1 - cosine * cosine, torch.finfo(cosine.dtype).eps
    sine = square.clamp_min(least).sqrt()
    turned = cosine * math.cos(margin) - sine * math.sin(margin)
    # Divided, not multiplied by an inverse, and added one by one: the digits of autograd.
    half = torch.full_like(sine, math.sin(margin)).div_(2 * sine).mul_(cosine)
    half = torch.where(square >= least, half, 0.0)
    turning = half + math.cos(margin) + half
    before = cosine >= -math.cos(margin)
    value = torch.where(before, turned, cosine - margin * math.sin(margin))
    return value, torch.where(before, turning, 1.0)
