"""Binomial deviance: a logistic loss on the cosine of every pair.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, softplus, softplus_matrix
from dmlbench.losses.similarity import precomputed_gradient


class BinomialDevianceLoss(PairLoss):
    """Binomial deviance as the ensemble paper uses it, with cosines.

    mean over anchors of mean_p log(1 + exp(-positive_alpha (s_ap - margin)))
    + mean_n log(1 + exp(alpha (s_an - margin))); a mean over nothing is 0.

    alpha: sharpness for negatives, above 0. Yi et al. write it as their α = 2 times the cost
        of a negative; 25 is the ensemble paper's.
    positive_alpha: sharpness for positives, above 0; Yi et al.'s α.
    margin: the cosine that separates positives from negatives.

    Yi et al. weigh positive and negative pairs by one over their number in the batch; a mean per
    anchor is the same for classes of equal size. The authors' code tells an anchor from its
    positives by a cosine of 1; here it is the index, so duplicates count.

    Authors' code: none was published. Equal to that of Zabihzadeh et al. (arXiv 2107.01130), except
    that theirs keeps an item's pair with itself wherever rounding leaves its cosine below 1.

    Yi, Lei, Li: Deep Metric Learning for Practical Person Re-Identification, ICPR 2014
    (arXiv 1407.4979); Zabihzadeh, Alitbi, Mousavirad: Ensemble of Loss Functions to Improve
    Generalizability of Deep Metric Learning Methods, 2023 (arXiv 2107.01130).
    """

    name = "binomial-deviance"

    def __init__(
        self, alpha: float = 25.0, positive_alpha: float = 2.0, margin: float = 0.5
    ) -> None:
        super().__init__()
        self.alpha = number(self.name, "alpha", alpha, gt=0)
        self.positive_alpha = number(self.name, "positive_alpha", positive_alpha, gt=0)
        self.margin = number(self.name, "margin", margin)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            anchors = len(similarity)
            share = 1 / (positives.count.clamp_min(1) * anchors).to(similarity.dtype)  # (B, 1)
            pull = (self.margin - similarity.gather(1, positives.columns)) * self.positive_alpha
            pulling = torch.sigmoid(pull).mul_(positives.filled).mul_(share)  # (B, P)
            pull_cost = softplus(pull).mul_(positives.filled).mul_(share).sum()

            share = 1 / (positives.negatives.clamp_min(1) * anchors).to(similarity.dtype)
            push = (similarity - self.margin).mul_(self.alpha)  # (B, N)
            push.scatter_(1, positives.same_class, ABSENT)
            push_cost = (softplus_matrix(push).sum(1, keepdim=True) * share).sum()
            gradient = push.sigmoid_().mul_(share * self.alpha)
            gradient.scatter_(1, positives.columns, pulling * -self.positive_alpha)
        return precomputed_gradient(pull_cost + push_cost, (pairs.similarity, gradient), keep=pairs)
