"""Signal-to-noise ratio contrastive loss: distance as the variance of a difference over a variance.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`), D dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.contrastive import contrast
from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.similarity import precomputed_gradient


class SNRContrastiveLoss(PairLoss):
    """Contrastive loss on d_ij = var(x_i - x_j) / var(x_i), variances over the D components.

    mean⁺ max(0, d_ap - pos_margin) + mean⁺ max(0, neg_margin - d_an), mean⁺ averaging over the
    pairs above 0; embeddings normalised.

    pos_margin: distance under which a positive costs nothing, at least 0.
    neg_margin: distance over which a negative costs nothing, at least 0.

    An anchor whose components are all equal has no variance to divide by: its distances count
    as 0 and give no gradient.

    Authors' code: none was published. Equal to pytorch-metric-learning's contrastive form;
    neither has the paper's penalty on the mean of an embedding.

    Yuan, Deng, Tang, Tang, Chen: Signal-to-Noise Ratio: A Robust Distance Metric for Deep Metric
    Learning, CVPR 2019 (arXiv 1904.02616).
    """

    name = "snr"

    def __init__(self, pos_margin: float = 0.0, neg_margin: float = 1.0) -> None:
        super().__init__()
        self.pos_margin = number(self.name, "pos_margin", pos_margin, ge=0)
        self.neg_margin = number(self.name, "neg_margin", neg_margin, ge=0)

    def compare(self, pairs: Pairs) -> Tensor:
        cosine = pairs.cosine
        dim = cosine.dim
        # With centred rows c = x - mean(x): D var(x) = |c|², and c_i · c_j comes from the cosines
        # and the means, so B x B x D differences are never formed.
        anchor_means, reference_means = cosine.means()  # (B,), (N,), in the graph
        with torch.no_grad():
            mean, mean_there = anchor_means.detach()[:, None], reference_means.detach()[None, :]
            power = cosine.anchor_squares - dim * mean.square()  # (B, 1)
            power_there = cosine.reference_squares - dim * mean_there.square()  # (1, N)
            tiny = 8 * torch.finfo(power.dtype).eps
            inverse = torch.where(power > tiny, 1 / power, 0)
            ratio = (power + power_there).sub_(pairs.similarity.detach(), alpha=2)  # (B, N)
            ratio.addcmul_(mean * (2 * dim), mean_there)
            ratio = torch.nn.functional.threshold_(ratio, tiny, 0.0).mul_(inverse)
            value, gradient = contrast(pairs, ratio.clone(), self.pos_margin, self.neg_margin)
            by_power = torch.mul(ratio, gradient).sum(1, keepdim=True).mul_(-inverse)
            gradient.mul_(inverse)  # along the numerator
            by_power += gradient.sum(1, keepdim=True)
            by_mean = (gradient @ mean_there.T - by_power * mean).mul_(2 * dim)[:, 0]
            column = gradient.sum(0, keepdim=True)
            by_mean_there = (mean.T @ gradient - column * mean_there).mul_(2 * dim)[0]
        return precomputed_gradient(
            value,
            (pairs.similarity, gradient.mul_(-2)),
            (anchor_means, by_mean),
            (reference_means, by_mean_there),
            keep=pairs,
        )
