"""GradNorm: weights that keep the losses training at similar rates.

Chen, Badrinarayanan, Lee, Rabinovich, GradNorm: Gradient Normalization for Adaptive Loss Balancing
in Deep Multitask Networks, ICML 2018 (arXiv 1711.02257).
Legend: B batch, M losses, R dimension of the representation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.running_scales import gradient_norms


class GradNorm(Combiner):
    """Σ_j w_j l_j on one embedding, w learned so that ‖w_j g_j‖ follows Ḡ r_j^α.

    g_j is the gradient of loss j at the shared representation, Ḡ the mean of the weighted norms,
    r_j = (l_j / l_j(0)) / mean_i(l_i / l_i(0)) how slowly loss j trains. The weights descend
    Σ_j |‖w_j g_j‖ − Ḡ r_j^α|, the target a constant, and are kept at sum M.

    Authors' code: none was published. The gradient of the weights is that of LibMTL, value for
    value. Deviation from LibMTL: as in the paper the weights themselves are learned and brought to
    sum M again, where it learns their softmax and starts after an epoch of equal weights. Deviation
    from the paper: its norms are those of the gradients at the weights of the last shared layer,
    ours at that layer's output; on two batches the gradient of the weights has a cosine of 0.9998
    or more to the paper's. It needs steps: norms of losses may differ by 300 times, and Adam moves
    a weight by its rate each step.

    num_losses: M.
    asymmetry: α; 0 asks for equal norms.
    """

    sees_gradients = True

    def __init__(self, num_losses: int, asymmetry: float = 1.5) -> None:
        super().__init__(num_losses)
        if not 0 <= asymmetry < float("inf"):
            raise ValueError(f"asymmetry must not be negative: {asymmetry}")
        self.asymmetry = asymmetry
        self.raw = nn.Parameter(torch.ones(num_losses))  # (M,)
        self.register_buffer("_first", torch.zeros(num_losses))

    def forward(self, losses: Tensor, heads: Sequence[Tensor]) -> Tensor:
        return torch.dot(self.raw.detach().to(losses.dtype), losses)

    def see_gradients(self, gradients: Tensor, losses: Tensor) -> None:
        with torch.no_grad():
            # The first value above 0 stands for the start; a batch may have nothing to learn from.
            self._first.copy_(torch.where(self._first > 0, self._first, losses.abs()))
            # No weight turns round, and a weight of 0 could never come back.
            self.raw.clamp_(min=1e-4)
            self.raw.mul_(self.num_losses / self.raw.sum())
        norms = gradient_norms(gradients)  # (M,)
        weighted = self.raw.detach() * norms
        progress = losses.abs() / self._first.clamp(min=1e-12)
        rates = progress / progress.mean().clamp(min=1e-12)
        target = weighted.mean() * rates.pow(self.asymmetry)
        self.raw.grad = ((weighted - target).sign() * norms).to(self.raw.dtype)

    def weights(self) -> Tensor:
        return self.num_losses * self.raw.detach() / self.raw.detach().sum()
