"""Normalised softmax: classification by cosine, without a bias.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy


class NormSoftmaxLoss(ProxyLoss):
    """Normalised softmax loss.

    Cross-entropy of softmax_c(cos(x, p_c) / temperature).

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    temperature: τ, above 0; the smaller, the harder the softmax.

    The proxies (C, D) start from a standard normal distribution.

    Authors' code: equal, loss and first proxies. They put layer norm in front of the embedding,
    which is the recipe's layer_norm here.

    Zhai, Wu, Classification is a Strong Baseline for Deep Metric Learning, BMVC 2019
    (arXiv 1811.12649).
    """

    name = "norm-softmax"

    def __init__(self, num_classes: int, embedding_dim: int, temperature: float = 0.05):
        super().__init__(num_classes, embedding_dim)
        self.temperature = number(self.name, "temperature", temperature, gt=0)
        nn.init.normal_(self.proxies)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosine = cosine_to_proxies(embeddings, self.proxies)
        return scaled_cross_entropy(cosine, labels, 1 / self.temperature)
