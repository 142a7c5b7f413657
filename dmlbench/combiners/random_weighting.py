"""Random loss weighting: new weights for every batch.

Lin, Ye, Zhang, Tsang, Reasonable Effectiveness of Random Weighting: A Litmus Test for Multi-Task
Learning, TMLR 2022 (arXiv 2111.10603).
Legend: M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.combiners.base import Combiner
from dmlbench.data.devices import to_device


class RandomWeighting(Combiner):
    """Σ_j w_j l_j on one embedding, w = softmax(z), z ~ N(0, 1) drawn again for every batch.

    Draws from torch's global random state, which a trial sets from seed and step.

    Authors' code (LibMTL): equal, up to what is drawn.

    num_losses: M.
    """

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        # Drawn on the CPU, so a GPU sees the same weights.
        weights = torch.randn(self.num_losses).softmax(dim=0)
        return torch.dot(to_device(weights.to(losses.dtype), losses.device), losses)
