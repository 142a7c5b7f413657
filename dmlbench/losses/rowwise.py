"""Log-sum-exp along the rows of a similarity matrix, with its gradient.

Shapes: B anchors, N references, P positives per anchor.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Stands for minus infinity in exponents: finite, so a row of nothing else gives no NaN.
ABSENT = -1e30


def log_sum_exp(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1) log Σ_j exp(logits_ij) and (B, N) its gradient, the softmax of each row.

    logits: (B, N). A row of `ABSENT` alone gives about `ABSENT`, and a softmax to be ignored.
    """
    # The largest softmax is 1 / Σ exp(logit - largest logit): the sum comes out of the softmax,
    # which is one fused pass where exp, sum and log are three.
    shares = torch.softmax(logits, dim=1)
    largest = logits.amax(1, keepdim=True)
    return largest - shares.amax(1, keepdim=True).log_(), shares


def log_one_plus_sum_exp(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(B, 1) log(1 + Σ_j exp(logits_ij)) and (B, N) its gradient; `ABSENT` entries add nothing."""
    total, shares = log_sum_exp(logits)
    return softplus(total), shares.mul_(torch.sigmoid(total))


def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)), exact to rounding in float64 too."""
    return torch.nn.functional.softplus(x, threshold=40.0)


def softplus_matrix(x: Tensor) -> Tensor:
    """`softplus` for matrices of many entries."""
    # log(1 + e) = 2 artanh(e / (2 + e)), as exact: log1p, which softplus uses, can take ten
    # times as long on a CPU.
    share = x.abs().neg_().sigmoid_()  # e / (1 + e) with e = exp(-|x|)
    spare = 2 - share
    share.div_(spare).atanh_()
    return torch.clamp_min(x, 0, out=spare).add_(share, alpha=2)
