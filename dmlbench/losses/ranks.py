"""Smooth ranks: how many references come before a given one, each comparison a sigmoid.

Shapes: B anchors, N references.
"""

from __future__ import annotations

import torch
from torch import Tensor


def soft_comparisons(logits: Tensor, column: Tensor, out: Tensor) -> Tensor:
    """(B, N) how surely each reference comes before the one in `column`, written into `out`.

    σ(logits_ij - logits_ic). Summed along a row it is the rank of item c, less a half: the item
    itself stands for σ(0) = 1/2.

    logits: (B, N) similarities over a temperature; a very negative item comes before none.
    column: (B, 1) int64.
    """
    return torch.sub(logits, logits.gather(1, column), out=out).sigmoid_()


def add_slope(
    gradient: Tensor, before: Tensor, column: Tensor, weight: Tensor, scratch: Tensor
) -> None:
    """Add weight (B, 1) · d rank / d logits to `gradient` (B, N), for the item in `column` (B, 1).

    before: (B, N) from `soft_comparisons`. scratch: (B, N), overwritten with weight · d σ.
    """
    slope = torch.addcmul(before, before, before, value=-1, out=scratch).mul_(weight)
    gradient.add_(slope)
    gradient.scatter_add_(1, column, -slope.sum(1, keepdim=True))
