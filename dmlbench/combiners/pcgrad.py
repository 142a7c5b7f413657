"""PCGrad: a gradient gives up what conflicts with another.

Yu, Kumar, Gupta, Levine, Hausman, Finn, Gradient Surgery for Multi-Task Learning, NeurIPS 2020
(arXiv 2001.06782).
Legend: B batch, F feature width, M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.combiners.base import Combiner


class PCGrad(Combiner):
    """Mean of the losses' gradients at the shared features, conflicts projected away.

    Each g_i is projected, for the other j in random order, onto the normal plane of g_j where
    g_i · g_j < 0: g_i ← g_i − (g_i · g_j / ‖g_j‖²) g_j. Heads and proxies follow the mean loss.
    The order is drawn from torch's global random state, which a trial sets from seed and epoch.

    num_losses: M.
    """

    combines_gradients = True

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        return losses.mean()

    def combine_gradients(self, gradients: Tensor, losses: Tensor) -> Tensor:
        flat = gradients.flatten(1)  # (M, B·F)
        projected = flat.clone()
        squares = flat.square().sum(dim=1)
        for i in range(len(flat)):
            for j in torch.randperm(len(flat)).tolist():
                conflict = projected[i] @ flat[j]
                if j != i and conflict < 0:
                    projected[i] -= conflict / squares[j] * flat[j]
        return projected.mean(dim=0).view_as(gradients[0])
