"""Label-smoothed cross-entropy: a linear classifier on the embedding.

B batch, D embedding width, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss


class CrossEntropyLoss(ProxyLoss):
    """Cross-entropy of a linear classifier of its own, with label smoothing.

    Cross-entropy of softmax_c(w_c · x + b_c) against the target
    1 − smoothing + smoothing / C for the target class and smoothing / C for each other one.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    smoothing: probability spread evenly over all C classes, in [0, 1). The default is that of
        Zabihzadeh et al. (arXiv 2107.01130).

    The embedding is used as it comes: neither it nor the weights are normalised. Weights (C, D)
    and bias (C,) start uniformly within ±1 / sqrt(D), as in `torch.nn.Linear`.

    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception Architecture for Computer
    Vision, CVPR 2016 (arXiv 1512.00567).
    """

    name = "cross-entropy"

    def __init__(self, num_classes: int, embedding_dim: int, smoothing: float = 0.15):
        super().__init__(num_classes, embedding_dim)
        self.smoothing = number(self.name, "smoothing", smoothing, ge=0, lt=1)
        self.bias = nn.Parameter(torch.empty(len(self.proxies)))
        bound = embedding_dim**-0.5
        nn.init.uniform_(self.proxies, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        dtype = torch.promote_types(embeddings.dtype, self.proxies.dtype)
        logits = functional.linear(
            embeddings.to(dtype), self.proxies.to(dtype), self.bias.to(dtype)
        )  # (B, C)
        total = functional.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=self.smoothing
        )
        return total / max(len(labels), 1)
