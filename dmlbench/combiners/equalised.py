"""The equal sum with the losses' gradients brought to one size: a control for learned weights.

Legend: B batch, M losses, R dimension of the representation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.running_scales import RunningScales, gradient_norms


class EqualisedSum(Combiner):
    """(1/M) Σ_j (n̄ / n̄_j) l_j on one embedding: no loss pulls harder for its units.

    n̄_j is the running norm of the gradient of loss j at the shared representation, the head's
    output, and n̄ the mean of these; both are constants for the gradient. Nothing is learned, so
    this is what learned weights must beat.

    num_losses: M.
    """

    sees_gradients = True

    def __init__(self, num_losses: int) -> None:
        super().__init__(num_losses)
        self.scales = RunningScales(num_losses)

    def see_gradients(self, gradients: Tensor, losses: Tensor) -> None:
        self.scales.observe(gradient_norms(gradients))

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        return torch.dot(self.weights().to(losses.dtype), losses)

    def weights(self) -> Tensor:
        return self.scales() / self.num_losses
