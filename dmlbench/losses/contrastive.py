"""Contrastive loss: positives closer than one margin, negatives farther than another.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.similarity import precomputed_gradient


class ContrastiveLoss(PairLoss):
    """Contrastive loss on Euclidean distances of the normalised embeddings.

    mean⁺ max(0, d_ap - pos_margin) + mean⁺ max(0, neg_margin - d_an), where mean⁺ averages over
    the pairs above 0. Without positives the negatives still count, and the other way round.

    pos_margin: distance under which a positive costs nothing, at least 0.
    neg_margin: distance over which a negative costs nothing, at least 0 (distances reach 2).

    Authors' code: none was published. Equal to pytorch-metric-learning's.

    Hadsell, Chopra, LeCun: Dimensionality Reduction by Learning an Invariant Mapping, CVPR 2006.
    """

    name = "contrastive"

    def __init__(self, pos_margin: float = 0.0, neg_margin: float = 1.0) -> None:
        super().__init__()
        self.pos_margin = number(self.name, "pos_margin", pos_margin, ge=0)
        self.neg_margin = number(self.name, "neg_margin", neg_margin, ge=0)

    def compare(self, pairs: Pairs) -> Tensor:
        distance, slope = pairs.distances()
        value, by_distance = contrast(pairs, distance, self.pos_margin, self.neg_margin)
        gradient = by_distance.mul_(slope).neg_()
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)


@torch.no_grad()
def contrast(
    pairs: Pairs, distance: Tensor, pos_margin: float, neg_margin: float
) -> tuple[Tensor, Tensor]:
    """The contrastive loss of any (B, N) `distance`, which is overwritten, and its gradient."""
    positives = pairs.positives
    excess = distance.gather(1, positives.columns).sub_(pos_margin).clamp_min_(0)  # (B, P)
    excess.mul_(positives.filled)
    pulled = excess.sign()
    pulled_count = pulled.sum().clamp_min_(1)

    distance.scatter_(1, positives.same_class, torch.inf)
    lack = distance.neg_().add_(neg_margin).clamp_min_(0)  # (B, N)
    pushed_total = lack.sum()
    pushed = lack.sign_()
    pushed_count = pushed.sum().clamp_min_(1)

    value = excess.sum() / pulled_count + pushed_total / pushed_count
    gradient = pushed.div_(-pushed_count)
    gradient.scatter_(1, positives.columns, pulled / pulled_count)
    return value, gradient
