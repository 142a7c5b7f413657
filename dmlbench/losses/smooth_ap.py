"""Smooth-AP: average precision with sigmoids for comparisons.

Shapes: B anchors, N references, K the largest class (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.ranks import add_slope, soft_comparisons
from dmlbench.losses.similarity import precomputed_gradient


class SmoothAPLoss(PairLoss):
    """Smooth-AP loss: one minus a differentiable average precision, averaged over anchors.

    mean over anchors i of 1 - (1 / |C_i|) Σ_{j ∈ C_i} rank(j in C_i) / rank(j in all), C_i the
    class of i with i itself, rank(j in S) = 1 + Σ_{k ∈ S, k ≠ j} σ((s_ik - s_ij) / temperature).

    temperature: above 0; the smaller, the closer to the true ranks and the rarer a gradient.

    Classes may differ in size and items may be in any order, where pytorch-metric-learning wants
    blocks of equal size. Time is K passes over a B x N
    matrix, memory one matrix; there it is the cube of the batch.

    Authors' code: equal on classes of equal size, all that theirs takes. An anchor without
    positives is left out.

    Brown, Xie, Kalogeiton, Zisserman, Smooth-AP: Smoothing the Path Towards Large-Scale Image
    Retrieval, ECCV 2020 (arXiv 2007.12163).
    """

    name = "smooth-ap"

    def __init__(self, temperature: float = 0.01) -> None:
        super().__init__()
        self.temperature = number(self.name, "temperature", temperature, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            value, gradient = self._average_precision(pairs)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _average_precision(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The loss, and (B, N) its slope along the cosines."""
        same_class = pairs.positives.same_class
        logits = pairs.similarity / self.temperature
        count = pairs.positives.count.to(logits.dtype)  # (B, 1)
        # Classmates are padded by repetition: a repeated one neither ranks nor is ranked again.
        places = torch.arange(same_class.shape[1], device=count.device)
        member = (places <= count).to(logits.dtype)  # (B, K)
        anchors = (count > 0).sum()
        weight = (count > 0) / ((count + 1) * anchors.clamp_min(1))  # (B, 1)

        gradient = torch.zeros_like(logits)
        before, scratch = torch.empty_like(logits), torch.empty_like(logits)
        precision = torch.zeros_like(weight)
        for index in range(same_class.shape[1]):
            column, ranked = same_class[:, index, None], member[:, index, None]
            soft_comparisons(logits, column, out=before)
            before_in_class = before.gather(1, same_class).mul_(member)  # (B, K)
            rank = before.sum(1, keepdim=True).add_(0.5)  # (B, 1)
            rank_in_class = before_in_class.sum(1, keepdim=True).add_(0.5)
            share = ranked / rank
            precision.addcmul_(rank_in_class, share)

            # d (rank_in_class / rank) = d rank_in_class / rank - d rank · rank_in_class / rank²
            add_slope(gradient, before, column, weight * share * rank_in_class / rank, scratch)
            slope = before_in_class.mul_(1 - before.gather(1, same_class)).mul_(-weight * share)
            gradient.scatter_add_(1, same_class, slope)
            gradient.scatter_add_(1, column, -slope.sum(1, keepdim=True))
        value = (anchors > 0).to(logits.dtype) - (precision * weight).sum()
        return value, gradient.div_(self.temperature)
