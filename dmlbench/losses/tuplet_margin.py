"""Tuplet margin loss: a softmax over cosines, the positive's angle slackened by a margin.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dmlbench.losses.nt_xent import softmax_against
from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT
from dmlbench.losses.similarity import precomputed_gradient


class TupletMarginLoss(PairLoss):
    """Tuplet margin loss, the tuplet part, over all positive pairs.

    mean over positive pairs of log(1 + Σ_n exp(scale (cos θ_an - cos(θ_ap - margin)))).

    margin_degrees: slack of the positive's angle, at least 0 and below 90.
    scale: sharpness, above 0.

    Duplicates within a class, whose angle has no slope, are moved by the slack-free part alone;
    pytorch-metric-learning gives infinite or undefined gradients there.

    Authors' code: none was published. Equal to pytorch-metric-learning's; neither has the
    penalty on the variance within a class that the paper adds.

    Yu, Tao: Deep Metric Learning with Tuplet Margin Loss, ICCV 2019.
    """

    name = "tuplet-margin"

    def __init__(self, margin_degrees: float = 5.73, scale: float = 64.0) -> None:
        super().__init__()
        self.margin_degrees = number(self.name, "margin_degrees", margin_degrees, ge=0, lt=90)
        self.scale = number(self.name, "scale", scale, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            cosine = similarity.gather(1, positives.columns)  # (B, P)
            slack = math.radians(self.margin_degrees)
            # cos(θ - m) = cos θ cos m + sin θ sin m, where the sine of a duplicate is 0.
            square = 1 - cosine.square()
            square.masked_fill_(square < 8 * torch.finfo(square.dtype).eps, 0)
            sine = square.sqrt()
            slackened = cosine * math.cos(slack) + sine * math.sin(slack)
            cotangent = torch.where(sine > 0, cosine / sine, 0)
            slope = math.cos(slack) - cotangent * math.sin(slack)

            logits = similarity * self.scale  # (B, N)
            logits.scatter_(1, positives.same_class, ABSENT)
            value, pull, gradient = softmax_against(
                slackened * self.scale, logits, positives.filled
            )
            gradient.scatter_(1, positives.columns, pull.mul_(slope).neg_()).mul_(self.scale)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)
