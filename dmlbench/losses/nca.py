"""Neighbourhood components analysis: the chance that a random neighbour is of the same class.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_sum_exp
from dmlbench.losses.similarity import precomputed_gradient


class NCALoss(PairLoss):
    """NCA on squared Euclidean distances of the normalised embeddings.

    mean over anchors with a positive of -log(Σ_p exp(-scale d²_ap) / Σ_{j≠a} exp(-scale d²_aj)).

    softmax_scale: sharpness, above 0.

    An anchor whose probability underflows keeps its loss and gradient, where
    pytorch-metric-learning drops it; without any positive pair the loss is 0, there NaN.

    Authors' code: none was published. Equal to pytorch-metric-learning's.

    Goldberger, Roweis, Hinton, Salakhutdinov: Neighbourhood Components Analysis, NIPS 2004.
    """

    name = "nca"

    def __init__(self, softmax_scale: float = 1.0) -> None:
        super().__init__()
        self.softmax_scale = number(self.name, "softmax_scale", softmax_scale, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            positives = pairs.positives
            similarity = pairs.similarity.detach()
            # -d² up to a constant of the row, which a softmax does not see.
            logits = torch.sub(similarity, pairs.cosine.reference_squares, alpha=0.5)  # (B, N)
            logits.mul_(2 * self.softmax_scale).scatter_(1, positives.self_column, ABSENT)
            near = logits.gather(1, positives.columns).masked_fill_(~positives.filled, ABSENT)
            total, gradient = log_sum_exp(logits)  # (B, 1), (B, N)
            same, shares = log_sum_exp(near)  # (B, 1), (B, P)
            learns = (positives.count > 0) & (positives.negatives > 0)
            weight = learns.to(logits.dtype)
            weight.div_(weight.sum().clamp_min_(1))
            value = ((total - same).clamp_min_(0) * weight).sum()
            gradient.scatter_add_(1, positives.columns, -shares)
            gradient.mul_(weight * (2 * self.softmax_scale))
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)
