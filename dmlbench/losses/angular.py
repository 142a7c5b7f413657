"""Angular loss: the angle at the negative of every triplet stays under a bound.

Shapes: B batch (anchors and references), P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_one_plus_sum_exp
from dmlbench.losses.similarity import precomputed_gradient


class AngularLoss(PairLoss):
    """Angular loss over all positive pairs.

    mean over positive pairs of log(1 + Σ_n exp(4 t (a + p) · n - 2 (1 + t) a · p)), t = tan² α,
    a and p normalised.

    alpha_degrees: α, the largest angle, above 0 and below 90.

    As in pytorch-metric-learning the negatives n keep the length they come with; in training
    embeddings come normalised.

    Wang, Zhou, Wen, Liu, Lin: Deep Metric Learning with Angular Loss, ICCV 2017
    (arXiv 1708.01682).
    """

    name = "angular"

    def __init__(self, alpha_degrees: float = 40.0) -> None:
        super().__init__()
        self.alpha_degrees = number(self.name, "alpha_degrees", alpha_degrees, gt=0, lt=90)

    def compare(self, pairs: Pairs) -> Tensor:
        tangent = math.tan(math.radians(self.alpha_degrees)) ** 2
        norms = pairs.cosine.norms()
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            length = norms.detach()[None, :] * (4 * tangent)  # (1, B)
            products = (similarity * length).scatter_(1, positives.same_class, ABSENT)  # (B, B)
            between = similarity.gather(1, positives.columns).mul_(2 + 2 * tangent)  # (B, P)
            count = positives.filled.sum().clamp_min(1)
            total = similarity.new_zeros(())
            gradient = torch.zeros_like(similarity)
            pull = torch.empty_like(between)
            for index in range(between.shape[1]):
                logits = products[positives.columns[:, index]]
                logits.add_(products).sub_(between[:, index, None])
                cost, shares = log_one_plus_sum_exp(logits)  # (B, 1), (B, B)
                counts = positives.filled[:, index, None]
                total += (cost * counts).sum()
                shares.mul_(counts)
                gradient.add_(shares)
                torch.sum(shares, 1, out=pull[:, index])
            # (a, p) and (p, a) cost the same, so the part that reaches a row as a positive's
            # equals the part that reaches it as an anchor's.
            gradient.mul_(2).div_(count)
            by_norm = torch.mul(gradient, similarity).sum(0).mul_(4 * tangent)
            gradient.mul_(length)
            gradient.scatter_(1, positives.columns, pull.mul_(-(2 + 2 * tangent)).div_(count))
        inputs = (pairs.similarity, gradient), (norms, by_norm)
        return precomputed_gradient(total / count, *inputs, keep=pairs)
