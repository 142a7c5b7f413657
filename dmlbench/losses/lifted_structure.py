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
    """Generalised lifted structure loss on Euclidean distances of embeddings not normalised.

    mean over anchors of max(0, log Σ_p exp(d_ap - pos_margin) + log Σ_n exp(neg_margin - d_an))
    + l2_weight · mean over anchors of ‖a‖; the sum over nothing counts as 1.

    neg_margin: distance at which a lone negative costs nothing.
    pos_margin: distance at which a lone positive costs nothing; not in the paper, which has 0.
    scale: None for the paper's method. A number above 0 takes distances of normalised embeddings,
        times that number. 1 is pytorch-metric-learning's loss, where distances of at most 2 leave
        the sums close to counts.
    l2_weight: penalty on the lengths, at least 0; only without a scale. 0 as in the paper; Roth
        et al. (arXiv 2002.08473) set 0.005.

    Authors' code: the generalised form of Hermans et al. is not in their repository. Equal to that
    of Roth et al. with its penalty, as it was in the PyTorch of the time: newer ones take its
    distances over the wrong axis. Deviation, as in pytorch-metric-learning: an anchor without
    positives still spreads its negatives, and one without negatives still pulls. The loss of Oh
    Song et al. is another one: it squares the cost of each positive pair, against the negatives of
    both of its items.

    Hermans, Beyer, Leibe: In Defense of the Triplet Loss, 2017 (arXiv 1703.07737), after Oh Song,
    Xiang, Jegelka, Savarese: Deep Metric Learning via Lifted Structured Feature Embedding, CVPR
    2016 (arXiv 1511.06452).
    """

    name = "lifted-structure"

    def __init__(
        self,
        neg_margin: float = 1.0,
        pos_margin: float = 0.0,
        scale: float | None = None,
        l2_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.neg_margin = number(self.name, "neg_margin", neg_margin)
        self.pos_margin = number(self.name, "pos_margin", pos_margin)
        self.scale = None if scale is None else number(self.name, "scale", scale, gt=0)
        self.l2_weight = number(self.name, "l2_weight", l2_weight, ge=0)
        self.takes = "unnormalised" if scale is None else "embeddings"

    def compare(self, pairs: Pairs) -> Tensor:
        if self.scale is None:
            return self._raw(pairs)
        with torch.no_grad():
            distance, slope = pairs.distances()
            value, gradient = self._cost(pairs, distance.mul_(self.scale))
            gradient.mul_(slope).mul_(-self.scale)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _raw(self, pairs: Pairs) -> Tensor:
        norms = pairs.cosine.norms()  # (B,)
        with torch.no_grad():
            distance, inverse, lengths = pairs.raw_distances()
            value, gradient = self._cost(pairs, distance)
            gradient.mul_(inverse)  # (B, N): the gradient by half of the squared distance
            own = norms.detach()
            # d² = ‖a‖² + ‖r‖² - 2 ‖a‖ ‖r‖ s. In a batch an item is anchor and reference.
            weighted = gradient * pairs.similarity
            by_norm = own * gradient.sum(1) - (weighted @ lengths)
            if pairs.cosine.memory is None:
                by_norm += own * gradient.sum(0) - (own @ weighted)
            gradient.mul_(own[:, None]).mul_(-lengths)
        value = precomputed_gradient(
            value, (pairs.similarity, gradient), (norms, by_norm), keep=pairs
        )
        return value + self.l2_weight * norms.mean() if self.l2_weight else value

    def _cost(self, pairs: Pairs, distance: Tensor) -> tuple[Tensor, Tensor]:
        """The mean cost, and its gradient by `distance` (B, N), which is overwritten."""
        positives = pairs.positives
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
        gradient.mul_(-weight * has_negative)
        gradient.scatter_(1, positives.columns, pull * weight)
        return cost.mean(), gradient
