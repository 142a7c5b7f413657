"""Supervised contrastive loss: all positives share a softmax over everything else in the batch.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import number
from dmlbench.losses.rowwise import ABSENT, log_sum_exp
from dmlbench.losses.similarity import precomputed_gradient


class SupConLoss(PairLoss):
    """Supervised contrastive loss on cosines (the paper's L_out).

    mean⁺ over anchors of mean_p -log(exp(s_ap / τ) / Σ_{j≠a} exp(s_aj / τ)), mean⁺ averaging over
    the anchors above 0. A batch of one class gives 0.

    temperature: τ, above 0.

    Authors' code: equal on classes of two or more. Anchors without positives are left out of the
    mean here, where theirs counts them as 0; its default temperature is 0.07, the paper's 0.1.

    Khosla et al.: Supervised Contrastive Learning, NeurIPS 2020 (arXiv 2004.11362).
    """

    name = "supcon"

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__()
        self.temperature = number(self.name, "temperature", temperature, gt=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            positives = pairs.positives
            logits = pairs.similarity.detach() / self.temperature  # (B, N)
            logits.scatter_(1, positives.self_column, ABSENT)
            total, gradient = log_sum_exp(logits)  # (B, 1), (B, N)
            cost = (total - logits.gather(1, positives.columns)).mul_(positives.filled)
            cost = cost.sum(1, keepdim=True).div_(positives.count.clamp_min(1))
            weight = cost.sign().mul_(positives.negatives > 0)  # (B, 1)
            weight.div_(weight.sum().clamp_min_(1))
            value = (cost * weight).sum()
            gradient.mul_(weight)
            pull = weight / positives.count.clamp_min(1) * positives.filled  # (B, P)
            gradient.scatter_add_(1, positives.columns, -pull).div_(self.temperature)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)
