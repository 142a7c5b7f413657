"""The diverse ensemble: one embedding head per loss, learned weights, heads pushed apart.

Zabihzadeh, Alitbi, Mousavirad, Ensemble of Loss Functions to Improve Generalizability of Deep
Metric Learning methods, 2021 (arXiv 2107.01130).
Legend: B batch, D_j dimension of head j, M losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional

from dmlbench.combiners.wel import WeightedEnsemble


class DiverseEnsemble(WeightedEnsemble):
    """One head per loss; to the self-weighting objective is added λ relu(2 − mean ‖e_i − e_j‖₂).

    The mean is over head pairs and batch. Evaluated embedding: the concatenation of sqrt(w_j) e_j,
    so its squared Euclidean distance is Σ_j w_j d_j².

    Authors' code: equal, value and gradients, with diversity = 0.01 and batches in which no loss is
    0. Deviations: heads share the dimension of one embedding except under ``--dim-budget
    per-loss``; the evaluated embedding has the current weights, theirs those of the epoch before.

    num_losses: M.
    prior, penalty, rescale: as for `WeightedEnsemble`.
    diversity: λ, 0.01 to 0.1 in the paper.
    """

    heads = "per-loss"

    def __init__(
        self,
        num_losses: int,
        prior: Sequence[float] | None = None,
        penalty: float = 1e4,
        diversity: float = 0.05,
        rescale: str = "mean",
    ) -> None:
        super().__init__(num_losses, prior, penalty, rescale)
        if not 0 <= diversity < float("inf"):
            raise ValueError(f"diversity must not be negative: {diversity}")
        self.diversity = diversity

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        objective = super().forward(losses, heads)
        if self.num_losses > 1 and self.diversity:
            objective = objective + self.diversity * (2 - mean_head_distance(heads)).relu()
        return objective

    def embed(self, heads: Sequence[Tensor]) -> Tensor:
        roots = self._weights().sqrt()  # (M,)
        scaled = [root * head for root, head in zip(roots, heads, strict=True)]
        return torch.cat(scaled, dim=1)  # (B, ΣD_j)


def mean_head_distance(heads: Sequence[Tensor]) -> Tensor:
    """Mean Euclidean distance between heads, over all pairs of heads and the batch.

    heads: M tensors (B, D_j). Where a dimension does not divide evenly, the smaller heads are
    padded with zeros, which changes no length.
    """
    dim = max(head.shape[1] for head in heads)
    padded = [functional.pad(head, (0, dim - head.shape[1])) for head in heads]
    squared = torch.stack(
        [(one - other).square().sum(dim=1) for one, other in combinations(padded, 2)]
    )  # (pairs, B)
    # The root has no slope at 0, where two heads agree on an image.
    return squared.clamp(min=1e-12).sqrt().mean()
