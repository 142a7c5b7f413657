"""Factors that bring M quantities, losses or the norms of their gradients, to one size.

Legend: M losses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RunningScales(nn.Module):
    """s̄ / s̄_j with s̄_j the running mean of size j and s̄ the mean over all.

    A running mean covers the batches in which its size was above 0: a loss that is 0 in a batch
    says nothing of its scale, and counting it would let the factor explode when it comes back.

    num_losses: M.
    """

    def __init__(self, num_losses: int) -> None:
        super().__init__()
        self.register_buffer("_sums", torch.zeros(num_losses, dtype=torch.float64))
        self.register_buffer("_counts", torch.zeros(num_losses, dtype=torch.float64))

    def observe(self, sizes: Tensor) -> None:
        """Count the sizes (M,) of one batch, by their absolute values."""
        sizes = sizes.detach().abs().double()
        self._sums += sizes
        self._counts += sizes > 0

    def forward(self) -> Tensor:
        """The factors (M,); 1 for a size that was 0 so far."""
        seen = self._sums > 0
        means = self._sums / self._counts.clamp(min=1)
        mean = means.sum() / seen.sum().clamp(min=1)
        return torch.where(seen, mean / means.where(seen, 1.0), 1.0)


def gradient_norms(gradients: Tensor) -> Tensor:
    """Norms (M,) of gradients at the shared representation (M, B, R)."""
    return gradients.flatten(1).norm(dim=1)
