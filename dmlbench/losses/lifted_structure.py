"""Generalised lifted structure loss: soft extremes of an anchor's distances.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_sum_exp
from dmlbench.losses.similarity import precomputed_gradient


class LiftedStructureLoss(PairLoss):
    """Generalised lifted structure loss on Euclidean distances of the normalised embeddings.

    mean over anchors of max(0, log Σ_p exp(d_ap - pos_margin) + log Σ_n exp(neg_margin - d_an));
    the sum over nothing counts as 1, so that a batch without positives still spreads.

    neg_margin: distance at which a lone negative costs nothing.
    pos_margin: distance at which a lone positive costs nothing.

    Oh Song, Xiang, Jegelka, Savarese: Deep Metric Learning via Lifted Structured Feature
    Embedding, CVPR 2016 (arXiv 1511.06452); generalised by Hermans, Beyer, Leibe: In Defense of
    the Triplet Loss, 2017 (arXiv 1703.07737).
    """

    name = "lifted-structure"

    def __init__(self, neg_margin: float = 1.0, pos_margin: float = 0.0) -> None:
        super().__init__()
        self.neg_margin = number(self.name, "neg_margin", neg_margin)
        self.pos_margin = number(self.name, "pos_margin", pos_margin)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            positives = pairs.positives
            distance, slope = pairs.distances()
            near = distance.gather(1, positives.columns).sub_(self.pos_margin)  # (B, P)
            pull_total, pull = log_sum_exp(near.masked_fill_(~positives.filled, ABSENT))
            has_positive = positives.count > 0
            pull.mul_(has_positive)

            far = distance.neg_().add_(self.neg_margin)  # (B, N)
            far.scatter_(1, positives.same_class, ABSENT)
            push_total, gradient = log_sum_exp(far)
            has_negative = positives.negatives > 0

            cost = (pull_total * has_positive + push_total * has_negative).clamp_min_(0)
            weight = cost.sign() / len(cost)
            gradient.mul_(weight * has_negative)
            gradient.scatter_(1, positives.columns, -pull * weight).mul_(slope)
        return precomputed_gradient(cost.mean(), (pairs.similarity, gradient), keep=pairs)
