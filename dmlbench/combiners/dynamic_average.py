"""Dynamic weight averaging: losses that fall slowly gain weight.

Liu, Johns, Davison, End-to-End Multi-Task Learning with Attention, CVPR 2019 (arXiv 1803.10704).
Legend: M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.combiners.base import Combiner


class DynamicWeightAverage(Combiner):
    """Σ_j w_j l_j on one embedding, w = M softmax(r / T), r_j = l̄_j(t−1) / l̄_j(t−2).

    l̄_j(t) is the mean of loss j over epoch t; r = 1 in the first two epochs, and for a loss that
    was 0 over an epoch.

    Authors' code (lorenmt/mtan): equal.

    num_losses: M.
    temperature: T; the larger, the more even the weights.
    """

    def __init__(self, num_losses: int, temperature: float = 2.0) -> None:
        super().__init__(num_losses)
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        self.temperature = temperature
        self.register_buffer("_weights", torch.ones(num_losses))
        self.register_buffer("_sum", torch.zeros(num_losses, dtype=torch.float64))
        self.register_buffer("_previous", torch.zeros(num_losses, dtype=torch.float64))
        self.register_buffer("_batches", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        if self.training:
            self._sum += losses.detach().double()
            self._batches += 1
        return torch.dot(self._weights.to(losses.dtype), losses)

    def end_epoch(self) -> None:
        means = self._sum / self._batches.clamp(min=1)
        known = (self._previous > 0) & (means > 0)
        rates = torch.where(known, means / self._previous.where(known, 1.0), 1.0)  # (M,)
        weights = self.num_losses * (rates / self.temperature).softmax(dim=0)
        self._weights.copy_(weights)
        self._previous.copy_(means)
        self._sum.zero_()
        self._batches.zero_()

    def weights(self) -> Tensor:
        return self._weights.detach()
