"""Alignment and uniformity.

Wang, Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on
the Hypersphere, ICML 2020 (arXiv 2005.10242).
Legend: B batch, D embedding dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class AlignmentUniformityLoss(nn.Module):
    """mean over positive pairs of ‖x − y‖^a  +  w · log mean over all pairs of exp(−t ‖x − y‖²).

    exponent: a. temperature: t. uniformity_weight: w.
    """

    def __init__(
        self, exponent: float = 2.0, temperature: float = 2.0, uniformity_weight: float = 1.0
    ) -> None:
        super().__init__()
        self.exponent = exponent
        self.temperature = temperature
        self.uniformity_weight = uniformity_weight

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings (B, D) with labels (B,)."""
        if len(embeddings) < 2:
            return embeddings.sum() * 0
        unit = functional.normalize(embeddings, dim=1)
        first, second = torch.triu_indices(len(unit), len(unit), 1, device=unit.device)
        squared = (unit[first] - unit[second]).square().sum(dim=1)  # (pairs,)
        uniformity = (-self.temperature * squared).exp().mean().log()
        positive = squared[labels[first] == labels[second]]
        if not len(positive):
            return self.uniformity_weight * uniformity
        # The root has no slope at 0, where two items of a class coincide.
        alignment = positive.clamp(min=1e-12).pow(self.exponent / 2).mean()
        return alignment + self.uniformity_weight * uniformity
