"""Sub-centre ArcFace: ArcFace where a class has several proxies and an item uses the nearest.

B batch, D embedding dimension, C classes, K sub-centres a class.
"""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dmlbench.losses.arcface import add_angle
from dmlbench.losses.parameters import number, whole
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy


class SubCenterArcFaceLoss(ProxyLoss):
    """Sub-centre ArcFace loss.

    ArcFace with cos θ_c = max over k of cos(x, p_kc): noisy or odd items gather round sub-centres
    of their own.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    margin_degrees: added to the target class's angle, in [0, 180).
    scale: factor of the cosines, above 0.
    sub_centers: K, at least 1.

    The proxies (K, C, D) start from a standard normal distribution.

    Authors' code: theirs needs MXNet and was not run. Equal to pytorch-metric-learning's.

    Deng, Guo, Liu, Gong, Zafeiriou, Sub-center ArcFace: Boosting Face Recognition by Large-Scale
    Noisy Web Faces, ECCV 2020.
    """

    name = "subcenter-arcface"

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        margin_degrees: float = 28.6,
        scale: float = 64.0,
        sub_centers: int = 3,
    ):
        each = whole(self.name, "sub_centers", sub_centers, ge=1)
        super().__init__(num_classes, embedding_dim, each)
        margin = number(self.name, "margin_degrees", margin_degrees, ge=0, lt=180)
        self.margin_radians = math.radians(margin)
        self.scale = number(self.name, "scale", scale, gt=0)
        nn.init.normal_(self.proxies)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = cosine_to_proxies(embeddings, self.proxies)  # (B, K, C)
        nearest = _Nearest.apply(cosine)  # (B, C)
        return scaled_cross_entropy(
            nearest, labels, self.scale, on_target=lambda s: add_angle(s, self.margin_radians)
        )


class _Nearest(Function):
    """The maximum over the middle dimension of x (B, K, C), equal ones sharing the gradient.

    `Tensor.max` seeks an index and costs 40 times as much on a CPU; autograd of `Tensor.amax`
    counts the equal ones as booleans, which costs more than the rest of the loss.
    """

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        best = x.amax(dim=1)
        ctx.save_for_backward(x, best)
        return best

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        x, best = ctx.saved_tensors
        share = (x - best.unsqueeze(1)).sign_().add_(1)  # 1 for the best, 0 for the others
        return share.mul_((grad / share.sum(1)).unsqueeze(1))
