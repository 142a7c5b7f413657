"""Self-weighting: rescaled losses whose weights are learned near the simplex.

Zabihzadeh, Alitbi, Mousavirad, Ensemble of Loss Functions to Improve Generalizability of Deep
Metric Learning methods, 2021 (arXiv 2107.01130).
Legend: B batch, D embedding dimension, M losses.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.running_scales import RunningScales, gradient_norms


class WeightedEnsemble(Combiner):
    """One embedding for all losses, their weights learned end to end.

    Objective: Σ_j w_j (l̄ / l̄_j) l_j + η (Σ_j w_j − 1)², with w_j = c_j² + 1/(4M), the free
    parameters c_j, the running means l̄_j and their mean l̄, both constants for the gradient.

    A running mean covers the batches in which its loss had something to learn from: a loss that
    is 0 in a batch says nothing of its scale, and counting it would let the rescaled loss explode
    when it comes back.

    A running mean of a loss whose margin bounds it from below does not measure difficulty: a mean
    over active triplets stays near its margin however well the net has learned. Two margins give
    the same gradient at two values, and dividing by the mean then weighs the loss by its margin
    alone. With `rescale="gradient"` l̄_j is the running norm of the loss's gradient at the shared
    representation instead, which no constant in the loss can change.

    Authors' code: equal, value and gradients, on batches in which no loss is 0. Deviation: theirs
    counts zeros in a running mean. Their cross-entropy looks at the backbone's features:
    `cross-entropy(on=features)`.

    num_losses: M.
    prior: M positive numbers that the weights start in proportion to; None for equal ones.
    penalty: η.
    rescale: "mean" as above, "gradient", or "none" for the losses as they are.
    Raises ValueError for a prior that puts a weight under the floor 1/(4M).
    """

    def __init__(
        self,
        num_losses: int,
        prior: Sequence[float] | None = None,
        penalty: float = 1e4,
        rescale: str = "mean",
    ) -> None:
        super().__init__(num_losses)
        if rescale not in ("mean", "gradient", "none"):
            raise ValueError(f"rescale must be 'mean', 'gradient' or 'none', not {rescale!r}")
        self.rescale = rescale
        self.sees_gradients = rescale == "gradient"
        self.penalty = penalty
        self.floor = 1 / (4 * num_losses)
        self.roots = nn.Parameter(self._start(prior))  # (M,)
        self.scales = RunningScales(num_losses)

    def _start(self, prior: Sequence[float] | None) -> Tensor:
        prior = [1.0] * self.num_losses if prior is None else [float(p) for p in prior]
        if len(prior) != self.num_losses:
            raise ValueError(
                f"prior {prior} has {len(prior)} numbers for {self.num_losses} losses; "
                f"give one per loss, in their order"
            )
        if not all(0 < p < float("inf") for p in prior):
            raise ValueError(f"prior {prior} must be positive numbers")
        shares = [p / sum(prior) for p in prior]
        if min(shares) < self.floor:
            raise ValueError(
                f"prior {prior} starts a weight at {min(shares):.4g}, under the floor "
                f"1/(4M) = {self.floor:.4g} that no loss falls below; make it more even"
            )
        return torch.tensor(shares).sub(self.floor).sqrt()

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        if self.training and self.rescale == "mean":
            self.scales.observe(losses)
        weights = self._weights()  # (M,)
        rescaled = losses * self.scales().to(losses.dtype)  # (M,)
        # From the roots in float64: near the simplex the penalty is a small difference times 1e4.
        excess = weights.double().sum() - 1
        penalty = self.penalty * excess.square()
        return torch.dot(weights.to(losses.dtype), rescaled) + penalty.to(losses.dtype)

    def see_gradients(self, gradients: Tensor, losses: Tensor) -> None:
        self.scales.observe(gradient_norms(gradients))

    def weights(self) -> Tensor:
        return self._weights().detach()

    def _weights(self) -> Tensor:
        return self.roots.square() + self.floor
