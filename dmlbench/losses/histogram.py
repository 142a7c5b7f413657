"""Histogram loss: how often a negative pair is more similar than a positive one.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`), R bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import whole
from dmlbench.losses.similarity import precomputed_gradient


class HistogramLoss(PairLoss):
    """Histogram loss: the overlap of the similarities of positive and of negative pairs.

    Σ_r n_r Σ_{q ≤ r} p_q: the probability that a random negative pair is at least as similar as a
    random positive one, p and n the two densities over R cosines evenly spaced from -1 to 1, a
    pair shared linearly between its two neighbours.

    num_bins: R, at least 2. pytorch-metric-learning counts the intervals, one less.

    Negative pairs neither of whose items has a positive are left out, as there. A cosine of 1
    falls into the last bin, where it fails there.

    Authors' code: theirs is a layer of a patched Caffe and was not run. Equal to
    pytorch-metric-learning's.

    Ustinova, Lempitsky, Learning Deep Embeddings with Histogram Loss, NeurIPS 2016
    (arXiv 1611.00822).
    """

    name = "histogram"

    def __init__(self, num_bins: int = 101) -> None:
        super().__init__()
        self.num_bins = whole(self.name, "num_bins", num_bins, ge=2)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            value, gradient = self._overlap(pairs)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _overlap(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The loss, and (B, N) its slope along the cosines."""
        columns = pairs.positives.columns
        per_cosine = (self.num_bins - 1) / 2
        share = (pairs.similarity + 1).mul_(per_cosine)  # (B, N), in bins
        bins = share.to(torch.int64).clamp_(0, self.num_bins - 2)  # (B, N), the lower neighbour
        share.sub_(bins)
        positive_bins = bins.gather(1, columns)  # (B, P)
        positive_weight = pairs.positives.filled.to(share.dtype)
        negative_weight = self._negatives(pairs)  # (B, N)

        both_there = (positive_weight.sum() > 0) & (negative_weight.sum() > 0)
        positive_weight *= both_there / positive_weight.sum().clamp_min(1)
        negative_weight *= both_there / negative_weight.sum().clamp_min(1)
        positive = self._density(positive_bins, share.gather(1, columns), positive_weight)  # (R,)
        negative = self._density(bins, share, negative_weight)  # (R,)
        below = positive.cumsum(0)

        # A pair that moves up by a bin trades its lower neighbour's share for the upper one's.
        rows = len(bins)
        gradient = (positive[1:] * per_cosine).expand(rows, -1).gather(1, bins)
        gradient *= negative_weight
        pull = (negative * -per_cosine).expand(rows, -1).gather(1, positive_bins)
        gradient.scatter_add_(1, columns, pull * positive_weight)
        return (negative * below).sum(), gradient

    def _density(self, bins: Tensor, share: Tensor, weight: Tensor) -> Tensor:
        """(R,) the weight at each bin of pairs (B, any) with `share` of it in the next bin."""
        share = share * weight
        # Row by row first: sums stay short, and exact enough in float32.
        lower = share.new_zeros(len(share), self.num_bins).scatter_add_(1, bins, weight - share)
        upper = torch.zeros_like(lower).scatter_add_(1, bins, share)
        return lower.sum(0) + upper.sum(0).roll(1)  # the last bin is nobody's lower one

    @staticmethod
    def _negatives(pairs: Pairs) -> Tensor:
        """(B, N): 1 for the negatives, 0 for the others and those that are left out."""
        paired = pairs.positives.count > 0  # (B, 1)
        negative = torch.ones_like(pairs.similarity)
        negative *= paired | paired.T
        return negative.scatter_(1, pairs.positives.same_class, 0.0)
