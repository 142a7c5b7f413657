"""Weights from homoscedastic uncertainty.

Kendall, Gal, Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and
Semantics, CVPR 2018 (arXiv 1705.07115).
Legend: M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner


class UncertaintyWeighting(Combiner):
    """Σ_j l_j / (2 σ_j²) + log σ_j on one embedding, with s_j = log σ_j² learned.

    A loss that stays at l has its optimum at σ² = l: large losses count for less.

    Authors' code (yaringal/multi-task-learning-example): twice this objective; it starts at s = 0,
    as here. LibMTL's is equal to ours and starts at −0.5.

    num_losses: M.
    """

    def __init__(self, num_losses: int) -> None:
        super().__init__(num_losses)
        self.log_variances = nn.Parameter(torch.zeros(num_losses))  # (M,)

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        logs = self.log_variances.to(losses.dtype)
        return 0.5 * ((-logs).exp() * losses + logs).sum()

    def weights(self) -> Tensor:
        return 0.5 * (-self.log_variances.detach()).exp()
