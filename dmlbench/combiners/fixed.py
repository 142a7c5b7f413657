"""Combinations with weights that do not change: the equal sum and weights given by the user."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmlbench.combiners.base import Combiner


class FixedWeights(Combiner):
    """Σ_j w_j l_j on one embedding with the user's weights.

    num_losses: M.
    weights: M non-negative numbers in the order of the losses, not all zero; used as given.
    Raises ValueError for a wrong number of weights or a negative one.
    """

    #: What the conformance kit builds it with, since there are no weights by default.
    check_params = {"weights": [0.5, 2.0, 1.0]}

    def __init__(self, num_losses: int, weights: Sequence[float] | None = None) -> None:
        super().__init__(num_losses)
        if weights is None:
            raise ValueError(
                f"weights must be given, one per loss, such as "
                f"'fixed(weights={[1.0] * num_losses})'; for equal ones there is the combiner sum"
            )
        if len(weights) != num_losses:
            raise ValueError(
                f"weights {list(weights)} are {len(weights)} numbers for "
                f"{num_losses} losses; give one per loss, in their order"
            )
        if any(w < 0 for w in weights) or not sum(weights) > 0:
            raise ValueError(f"weights {list(weights)} must not be negative or all zero")
        self.register_buffer("_weights", torch.tensor(list(weights), dtype=torch.float32))

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        return torch.dot(self._weights.to(losses.dtype), losses)

    def weights(self) -> Tensor:
        return self._weights.detach()


class EqualSum(FixedWeights):
    """(1/M) Σ_j l_j on one embedding: the baseline every weighting must beat."""

    check_params: dict[str, list[float]] = {}

    def __init__(self, num_losses: int) -> None:
        super().__init__(num_losses, [1 / num_losses] * num_losses)
