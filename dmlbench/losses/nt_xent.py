"""NT-Xent: each positive pair must win a softmax against all negatives of its anchor.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_sum_exp, softplus
from dmlbench.losses.similarity import precomputed_gradient


class NTXentLoss(PairLoss):
    """NT-Xent (InfoNCE with labels) on cosines.

    mean over positive pairs of -log(exp(s_ap / τ) / (exp(s_ap / τ) + Σ_n exp(s_an / τ))).

    temperature: τ, above 0.

    A pair beyond the reach of float32's exp keeps its loss and gradient, where
    pytorch-metric-learning stops at 87.

    Authors' code: theirs is for two views of each image and has no classes. Equal to
    pytorch-metric-learning's, which takes every pair of a class as two views.

    Chen, Kornblith, Norouzi, Hinton: A Simple Framework for Contrastive Learning of Visual
    Representations, ICML 2020 (arXiv 2002.05709); Sohn, NIPS 2016.
    """

    name = "nt-xent"

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = number(self.name, "temperature", temperature, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            logits = similarity / self.temperature  # (B, N)
            near = logits.gather(1, positives.columns)  # (B, P)
            logits.scatter_(1, positives.same_class, ABSENT)
            value, pull, gradient = softmax_against(near, logits, positives.filled)
            gradient.scatter_(1, positives.columns, -pull).div_(self.temperature)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)


def softmax_against(near: Tensor, others: Tensor, filled: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over positives of log(1 + Σ_n exp(others_n - near)), with its two slopes.

    near: (B, P) logits of the positives. others: (B, N) logits of the negatives, `ABSENT`
    elsewhere. filled: (B, P) bool. Also given: (B, P) minus the slope along near, (B, N) the
    slope along others.
    """
    rest, shares = log_sum_exp(others)  # (B, 1), (B, N)
    behind = rest - near
    count = filled.sum().clamp_min_(1)
    value = (softplus(behind) * filled).sum() / count
    pull = torch.sigmoid(behind).mul_(filled).div_(count)
    return value, pull, shares.mul_(pull.sum(1, keepdim=True))
