"""Label-smoothed cross-entropy: a linear classifier on the embedding, or on the features.

B batch, D embedding dimension, F dimension of the features, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dmlbench.losses.parameters import choice, invalid, number, whole
from dmlbench.losses.proxies import ProxyLoss

# What `on` may be, and what it is called in `takes`.
INPUTS = {"embedding": "embeddings", "unnormalised": "unnormalised", "features": "features"}


class CrossEntropyLoss(ProxyLoss):
    """Cross-entropy of a linear classifier of its own, with label smoothing.

    Cross-entropy of softmax_c(w_c · x + b_c) against the target
    1 − smoothing + smoothing / C for the target class and smoothing / C for each other one.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    num_features: F, the dimension of the backbone's features; only for on = "features".
    smoothing: probability spread evenly over all C classes, in [0, 1). The default is that of
        Zabihzadeh et al. (arXiv 2107.01130).
    on: what x is: the L2-normalised "embedding"; the embedding before normalisation,
        "unnormalised"; or the backbone's "features", which another loss must then make an
        embedding of, on one head, as in the ensemble wel of Zabihzadeh et al.

    x is used as it comes, and the weights are not normalised. Weights (C, D or F) and bias (C,)
    start uniformly within ±1 / sqrt(D or F), as in `torch.nn.Linear`.

    Authors' code: that of Zabihzadeh et al. with on = "features" (their WEL), except that they
    spread the smoothing over the other C − 1 classes: nearly the same direction, a gradient
    1.6 % longer at 10 classes. Szegedy et al. spread it over all C, as here.

    Szegedy, Vanhoucke, Ioffe, Shlens, Wojna, Rethinking the Inception Architecture for Computer
    Vision, CVPR 2016 (arXiv 1512.00567).
    """

    name = "cross-entropy"

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        smoothing: float = 0.15,
        on: str = "embedding",
        num_features: int | None = None,
    ):
        takes = INPUTS[choice(self.name, "on", on, list(INPUTS))]
        dim = embedding_dim
        if takes == "features":
            if num_features is None:
                raise invalid(self.name, "num_features", num_features, "given with on='features'")
            dim = whole(self.name, "num_features", num_features, ge=1)
        super().__init__(num_classes, dim)
        self.takes = takes
        self.smoothing = number(self.name, "smoothing", smoothing, ge=0, lt=1)
        self.bias = nn.Parameter(torch.empty(len(self.proxies)))
        bound = dim**-0.5
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
