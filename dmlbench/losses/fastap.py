"""FastAP: average precision over a soft histogram of distances.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`), Q bins.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import whole
from dmlbench.losses.similarity import precomputed_gradient

LARGEST_SQUARE = 4.0  # squared distance of two opposite unit vectors


class FastAPLoss(PairLoss):
    """FastAP loss: one minus an average precision whose ranks are read off a histogram.

    mean over anchors of 1 - (1 / positives) Σ_q h_q H_q / T_q, where h_q are the positives whose
    squared distance falls into bin q of [0, 4] (shared linearly between neighbouring bins), H_q
    the positives and T_q all items up to bin q.

    num_bins: Q intervals, at least 1.

    Anchors without a positive are left out. Exactly on a bin's centre the gradient is that of a
    slightly larger distance, where pytorch-metric-learning's is 0.

    Authors' code: equal value and direction. Their backward pass leaves out a factor of 2 over
    the number of anchors with positives, which Adam does not see.

    Cakir, He, Xia, Kulis, Sclaroff, Deep Metric Learning to Rank, CVPR 2019.
    """

    name = "fastap"

    def __init__(self, num_bins: int = 10) -> None:
        super().__init__()
        self.num_bins = whole(self.name, "num_bins", num_bins, ge=1)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            value, gradient = self._rank(pairs)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _rank(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The loss, and (B, N) its slope along the cosines."""
        columns, self_column = pairs.positives.columns, pairs.positives.self_column
        scale = self.num_bins / LARGEST_SQUARE
        share = pairs.squared_distances().mul_(scale)  # (B, N), in bins
        bins = share.to(torch.int64).clamp_(0, self.num_bins - 1)  # (B, N)
        share.sub_(bins)  # of an item, what falls to the farther of its two bins
        self_bins, positive_bins = bins.gather(1, self_column), bins.gather(1, columns)

        ones = torch.ones_like(share)
        total = self._cumulate(bins, share, ones)  # (B, Q + 1), items up to each bin
        total -= self._cumulate(self_bins, share.gather(1, self_column), ones[:, :1])
        kept = pairs.positives.filled.to(share.dtype)  # (B, P)
        positives = self._cumulate(positive_bins, share.gather(1, columns) * kept, kept)

        # Within the reach of rounding an empty bin may hold less than nothing.
        inverse = torch.where(total > 1e-6, total.reciprocal(), 0.0)
        precision = positives * inverse  # (B, Q + 1)
        in_bin = torch.diff(positives, dim=1, prepend=torch.zeros_like(kept[:, :1]))
        count = pairs.positives.count.to(share.dtype)  # (B, 1)
        anchors = (count > 0).sum()
        weight = (count > 0) / (count.clamp_min(1) * anchors.clamp_min(1))
        value = (anchors > 0).to(share.dtype) - (in_bin * precision * weight).sum()

        # An item that moves away leaves the sums up to its nearer bin, at one a bin's width; a
        # cosine moves the squared distance by -2.
        weight = weight * (-2.0 * scale)
        by_total = in_bin * precision * inverse * -weight
        by_positives = in_bin * inverse
        by_positives[:, :-1] -= torch.diff(precision, dim=1)
        by_positives *= weight
        gradient = by_total.gather(1, bins)
        pull = by_positives.gather(1, positive_bins) * kept
        # The anchor's own column gets a slope too: along the anchor, where normalising undoes it.
        return value, gradient.scatter_add_(1, columns, pull)

    def _cumulate(self, bins: Tensor, share: Tensor, count: Tensor) -> Tensor:
        """(B, Q + 1): what is up to each bin of items (B, any) with `share` in their next one."""
        sums = share.new_zeros(len(share), self.num_bins + 1)
        whole_items = torch.zeros_like(sums).scatter_add_(1, bins, count).cumsum(1)
        return whole_items - sums.scatter_add_(1, bins, share)
