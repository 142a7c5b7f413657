"""Circle loss: pairs far from their optimum weigh more, on a circular decision boundary.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_sum_exp, softplus
from dmlbench.losses.similarity import precomputed_gradient


class CircleLoss(PairLoss):
    """Circle loss on cosines, with labels of classes.

    mean⁺ over anchors of log(1 + Σ_n exp(γ [s_an + m]₊ (s_an - m)) ·
    Σ_p exp(-γ [1 + m - s_ap]₊ (s_ap - 1 + m))), the factors [·]₊ constant for the gradient and
    mean⁺ averaging over the anchors above 0.

    m: margin, the radius of the boundary, between 0 and 1.
    gamma: γ, sharpness, above 0.

    Authors' code: none was published. Equal to pytorch-metric-learning's, which has one softmax per
    anchor as in the paper's equation 6; TinyZeaMays/CircleLoss has one over all pairs of a batch.

    Sun et al.: Circle Loss: A Unified Perspective of Pair Similarity Optimization, CVPR 2020
    (arXiv 2002.10857).
    """

    name = "circle"
    expected_failures = {"finite-differences": "its weights are constants for the gradient"}

    def __init__(self, m: float = 0.4, gamma: float = 80.0) -> None:
        super().__init__()
        self.m = number(self.name, "m", m, ge=0, le=1)
        self.gamma = number(self.name, "gamma", gamma, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            near = similarity.gather(1, positives.columns)  # (B, P)
            pull_rate = (1 + self.m - near).clamp_min_(0).mul_(self.gamma)
            pull_logits = (1 - self.m - near).mul_(pull_rate)
            pull_total, pull = log_sum_exp(pull_logits.masked_fill_(~positives.filled, ABSENT))

            rate = (similarity + self.m).clamp_min_(0).mul_(self.gamma)  # (B, N)
            logits = (similarity - self.m).mul_(rate).scatter_(1, positives.same_class, ABSENT)
            push_total, gradient = log_sum_exp(logits)

            both = push_total + pull_total  # about ABSENT where either side has no pair
            cost = softplus(both)
            count = cost.sign().sum().clamp_min_(1)
            weight = torch.sigmoid(both).mul_(cost.sign()).div_(count)
            gradient.mul_(rate).mul_(weight)
            gradient.scatter_(1, positives.columns, pull.mul_(pull_rate).mul_(weight).neg_())
        return precomputed_gradient(cost.sum() / count, (pairs.similarity, gradient), keep=pairs)
