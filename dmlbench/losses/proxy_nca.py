"""Proxy-NCA: neighbourhood components analysis against one learned neighbour a class.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

from torch import Tensor, nn

from dmlbench.losses.parameters import number
from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy


class ProxyNCALoss(ProxyLoss):
    """Proxy-NCA loss, the own proxy within the normalising sum, optionally label-smoothed.

    Cross-entropy of softmax_c(−softmax_scale · ‖x − p_c‖²), x and p_c of length 1, against the
    target 1 − smoothing for the target class and smoothing / (C − 1) for each other one.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    softmax_scale: factor of the squared distances, above 0. Proxies stretched to the length s
        against embeddings of length 1 ("proxy scale s") are softmax_scale = s.
    smoothing: probability given to the other classes together, in [0, 1).

    The label-smoothed variant in the ensembles of Zabihzadeh et al. (arXiv 2107.01130) is
    ``softmax_scale=3, smoothing=0.1``. The proxies (C, D) start from a standard normal
    distribution. An item whose own probability is too small for its number format keeps its loss
    and gradient here; pytorch-metric-learning leaves it out of the mean.

    Authors' code: none was published. With softmax_scale = 3 and smoothing = 0.1 equal to that of
    Zabihzadeh et al. (arXiv 2107.01130); without smoothing equal to pytorch-metric-learning's. The
    target class is among those summed over, where the paper leaves it out.

    Movshovitz-Attias, Toshev, Leung, Ioffe, Singh, No Fuss Distance Metric Learning using Proxies,
    ICCV 2017 (arXiv 1703.07464).
    """

    name = "proxy-nca"

    def __init__(
        self,
        num_classes: int,
        embedding_dim: int,
        softmax_scale: float = 1.0,
        smoothing: float = 0.0,
    ):
        super().__init__(num_classes, embedding_dim)
        self.softmax_scale = number(self.name, "softmax_scale", softmax_scale, gt=0)
        self.smoothing = number(self.name, "smoothing", smoothing, ge=0, lt=1)
        nn.init.normal_(self.proxies)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        # −‖x − p‖² = 2 cos − 2 on unit vectors, and a softmax ignores what all classes share.
        cosine = cosine_to_proxies(embeddings, self.proxies)
        return scaled_cross_entropy(
            cosine, labels, 2 * self.softmax_scale, smoothing=self.smoothing
        )
