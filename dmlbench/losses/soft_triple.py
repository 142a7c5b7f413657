"""SoftTriple: a softmax over classes that have several centres each, softly assigned.

B batch, D embedding dimension, C classes, K centres per class.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dmlbench.losses.parameters import number, whole
from dmlbench.losses.proxies import (
    ProxyLoss,
    cosine_to_units,
    scaled_cross_entropy,
    unit_rows,
)
from dmlbench.losses.similarity import precomputed_gradient


class SoftTripleLoss(ProxyLoss):
    """SoftTriple loss on cosines to several centres per class, with a pull between them.

    Cross-entropy of softmax_c(scale · (s_c − margin · [c is the target class])), where
    s_c = Σ_k softmax_k(cos(x, p_kc) / gamma) · cos(x, p_kc),
    + tau / (C · K · (K − 1)) · Σ_c Σ_{k < l} √(‖p_kc − p_lc‖² + 1e-5), the centres normalised.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    centers_per_class: K, at least 1.
    scale: λ, factor of the class similarities, above 0.
    gamma: temperature of the assignment to centres, above 0.
    margin: taken from the target class's similarity, at least 0.
    tau: weight of the pull between the centres of a class, at least 0, so a class does not
        keep more of them than it needs. pytorch-metric-learning has no such term.

    The centres (K, C, D) start uniformly within ±1 / sqrt(C · K), as the authors' do.

    Authors' code: equal, with all of its defaults.

    Qian, Shang, Sun, Hu, Li, Jin, SoftTriple Loss: Deep Metric Learning Without Triplet Sampling,
    ICCV 2019 (arXiv 1909.05235).
    """

    name = "soft-triple"

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        centers_per_class: int = 10,
        scale: float = 20.0,
        gamma: float = 0.1,
        margin: float = 0.01,
        tau: float = 0.2,
    ):
        each = whole(self.name, "centers_per_class", centers_per_class, ge=1)
        super().__init__(num_classes, embedding_dim, each)
        self.scale = number(self.name, "scale", scale, gt=0)
        self.gamma = number(self.name, "gamma", gamma, gt=0)
        self.margin = number(self.name, "margin", margin, ge=0)
        self.tau = number(self.name, "tau", tau, ge=0)
        bound = (num_classes * each) ** -0.5
        nn.init.uniform_(self.proxies, -bound, bound)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        dtype = torch.promote_types(embeddings.dtype, self.proxies.dtype)
        centres = unit_rows(self.proxies.to(dtype))  # (K, C, D)
        cosine = cosine_to_units(embeddings.to(dtype), centres)  # (B, K, C)
        similarity = _SoftMaximum.apply(cosine, 1 / self.gamma)  # (B, C)
        value = scaled_cross_entropy(
            similarity, labels, self.scale, on_target=lambda s: (s - self.margin, None)
        )
        if self.tau and len(centres) > 1 and len(labels):
            value = value + self.tau * _spread(centres)
        return value


def _spread(centres: Tensor) -> Tensor:
    """Half of the mean distance between two centres of a class, as in the authors' code."""
    each, classes, _ = centres.shape
    of_class = centres.transpose(0, 1)  # (C, K, D)
    cosine = of_class @ of_class.mT  # (C, K, K)
    with torch.no_grad():
        # Their constant keeps the root's slope finite where two centres coincide.
        distance = torch.rsub(cosine, 2 + 1e-5, alpha=2).sqrt_()
        once = torch.ones(each, each, device=centres.device, dtype=centres.dtype).triu_(1)
        once /= classes * each * (each - 1)
        value = torch.tensordot(distance, once, 2).sum()
        gradient = distance.reciprocal_().mul_(-once)
    return precomputed_gradient(value, (cosine, gradient))


class _SoftMaximum(Function):
    """Σ_k softmax_k(sharpness · x) · x over the middle dimension of x (B, K, C).

    Saves one (B, K, C) array beside x; autograd through softmax and product saves three.
    """

    @staticmethod
    def forward(ctx, x: Tensor, sharpness: float) -> Tensor:
        scratch = x * sharpness
        weight = torch.softmax(scratch, dim=1)
        result = torch.mul(weight, x, out=scratch).sum(1)
        ctx.save_for_backward(x, weight, result)
        ctx.sharpness = sharpness
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight, result = ctx.saved_tensors
        slope = (x - result.unsqueeze(1)).mul_(ctx.sharpness).add_(1).mul_(weight)
        return slope.mul_(grad.unsqueeze(1)), None
