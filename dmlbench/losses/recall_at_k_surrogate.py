"""Recall@k surrogate: the share of the positives within the first k, both made smooth.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import invalid, number, whole
from dmlbench.losses.ranks import add_slope, soft_comparisons
from dmlbench.losses.similarity import precomputed_gradient


class RecallAtKSurrogateLoss(PairLoss):
    """Recall@k surrogate loss, averaged over several k; with a single k, surrogate precision@k.

    mean over anchors i and over k of 1 - Σ_p σ((k - r_p) / rank_temperature) / min(k, positives)
    with the smooth rank r_p = 1 + Σ_{j ≠ p, i} σ((s_ij - s_ip) / similarity_temperature).

    ks: the list lengths k, each at least 1.
    rank_temperature: τ₁, above 0.
    similarity_temperature: τ₂, above 0.

    Anchors without a positive are left out. The anchor is not part of its own list, as in the
    paper; in its authors' code it is, one rank ahead of everything. Their similarity mixup is not
    part of the loss. Time is P passes over a B x N matrix, memory one matrix.

    Authors' code: a deviation. Theirs counts the query itself among the retrieved, which shifts
    every rank by up to 1 (cosine of the gradients 0.98), and takes classes of equal size alone.

    Patel, Tolias, Matas, Recall@k Surrogate Loss with Large Batches and Similarity Mixup,
    CVPR 2022 (arXiv 2108.11179).
    """

    name = "recall-at-k-surrogate"

    def __init__(
        self,
        ks: Sequence[int] = (1, 2, 4, 8, 16),
        rank_temperature: float = 1.0,
        similarity_temperature: float = 0.01,
    ) -> None:
        super().__init__()
        if isinstance(ks, str) or not isinstance(ks, Sequence) or not ks:
            raise invalid(self.name, "ks", ks, "a list of whole numbers of at least 1")
        self.ks = tuple(whole(self.name, "ks", k, ge=1) for k in ks)
        # Moves with the module: a list of numbers would be sent to the device in every step.
        self.register_buffer("_ks", torch.tensor(self.ks, dtype=torch.int64), persistent=False)
        self.rank_temperature = number(self.name, "rank_temperature", rank_temperature, gt=0)
        self.similarity_temperature = number(
            self.name, "similarity_temperature", similarity_temperature, gt=0
        )

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            value, gradient = self._recall(pairs)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _recall(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """The loss, and (B, N) its slope along the cosines."""
        positives = pairs.positives
        logits = pairs.similarity / self.similarity_temperature
        # Out of the list, and finite: padding ranks the anchor itself.
        logits.scatter_(1, positives.self_column, -torch.finfo(logits.dtype).max / 4)
        ks = self._ks.to(logits.device, logits.dtype)  # (k,)
        anchors = (positives.count > 0).sum()
        # (B, k): what one positive within the first k adds to the mean recall.
        worth = 1 / (ks.minimum(positives.count.clamp_min(1)) * len(ks) * anchors.clamp_min(1))

        gradient = torch.zeros_like(logits)
        before, scratch = torch.empty_like(logits), torch.empty_like(logits)
        recall = logits.new_zeros(())
        for index in range(positives.columns.shape[1]):
            column = positives.columns[:, index, None]
            soft_comparisons(logits, column, out=before)
            rank = before.sum(1, keepdim=True).add_(0.5)  # (B, 1)
            within = ((ks - rank) / self.rank_temperature).sigmoid_()  # (B, k)
            kept = worth * positives.filled[:, index, None]
            recall += (within * kept).sum()
            weight = (within * (1 - within) * kept).sum(1, keepdim=True) / self.rank_temperature
            add_slope(gradient, before, column, weight, scratch)
        value = (anchors > 0).to(logits.dtype) - recall
        return value, gradient.div_(self.similarity_temperature)
