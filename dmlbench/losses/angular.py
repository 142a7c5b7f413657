"""Angular loss: the angle at the negative of every triplet stays under a bound.

Shapes: B batch (anchors and references), P positives per anchor (see `dmlbench.losses.pairs`),
C classes with two items or more.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dmlbench.data import devices
from dmlbench.losses.n_pairs import first_two, pair_cross_entropy
from dmlbench.losses.pairs import PairLoss, Pairs, check_batch, nothing_to_learn
from dmlbench.losses.parameters import flag, number
from dmlbench.losses.rowwise import ABSENT, log_one_plus_sum_exp
from dmlbench.losses.similarity import precomputed_gradient, without_autocast

_MOST_AT_ONCE = 1 << 27


class AngularLoss(PairLoss):
    """Angular loss over all positive pairs, or beside n-pairs as the authors train it.

    mean over positive pairs of log(1 + Σ_n exp(4 t (a + p) · n - 2 (1 + t) a · p)), t = tan² α,
    a, p and n normalised.

    alpha_degrees: α, the largest angle, above 0 and below 90.
    n_pairs: take one pair per class and their positives as negatives, as n-pairs does, and give
        n-pairs + weight · angular. The n-pairs term looks at embeddings that are not normalised.
    weight: that of the angular term beside n-pairs, at least 0; 2 in the paper.
    l2_weight: penalty on the lengths in the n-pairs term, at least 0; see n-pairs.

    Authors' code: none was published. With n_pairs equal to the implementations that others
    compare with (Roth et al., Sakurai, Zabihzadeh et al.) on the same pairs, apart from their
    penalties on the lengths. By default equal to pytorch-metric-learning, which takes all positive
    pairs and all negatives of a batch.

    Wang, Zhou, Wen, Liu, Lin: Deep Metric Learning with Angular Loss, ICCV 2017
    (arXiv 1708.01682).
    """

    name = "angular"
    expected_failures = {"batch-order": "with n_pairs, the first pair of each class is taken"}

    def __init__(
        self,
        alpha_degrees: float = 40.0,
        n_pairs: bool = False,
        weight: float = 2.0,
        l2_weight: float = 0.02,
    ) -> None:
        super().__init__()
        self.alpha_degrees = number(self.name, "alpha_degrees", alpha_degrees, gt=0, lt=90)
        self.n_pairs = flag(self.name, "n_pairs", n_pairs)
        self.weight = number(self.name, "weight", weight, ge=0)
        self.l2_weight = number(self.name, "l2_weight", l2_weight, ge=0)
        self.takes = "unnormalised" if n_pairs else "embeddings"
        self.tangent = math.tan(math.radians(self.alpha_degrees)) ** 2

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar; see `PairLoss.forward`. With n_pairs, at least two classes of two."""
        if not self.n_pairs:
            return super().forward(embeddings, labels)
        check_batch(self.name, embeddings, labels)
        first, second = first_two(labels, embeddings.device)
        if len(first) < 2:  # no negatives: nothing but lengths to learn
            return nothing_to_learn(embeddings)
        with without_autocast(embeddings.device):
            exact = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            return self._beside_n_pairs(exact, first, second)

    def _beside_n_pairs(self, embeddings: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Of embeddings (B, D) and the places (C,) of the pair of each class."""
        value = pair_cross_entropy(embeddings[first], embeddings[second], self.l2_weight)
        a, p = (nn.functional.normalize(embeddings[items]) for items in (first, second))
        logits = 4 * self.tangent * (a + p) @ p.T  # (C, C)
        logits = logits - 2 * (1 + self.tangent) * (a * p).sum(1, keepdim=True)
        # The pair's own column stands for the 1 in the logarithm.
        logits = logits.masked_fill(torch.eye(len(a), dtype=torch.bool, device=a.device), 0.0)
        value = value + self.weight * logits.logsumexp(1).mean()
        # Items that are in no pair may not hide that training has diverged.
        return value + nothing_to_learn(embeddings.detach())

    def compare(self, pairs: Pairs) -> Tensor:
        tangent = self.tangent
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            products = (similarity * (4 * tangent)).scatter_(1, positives.same_class, ABSENT)
            between = similarity.gather(1, positives.columns).mul_(2 + 2 * tangent)  # (B, P)
            count = positives.filled.sum().clamp_min(1)
            total = similarity.new_zeros(())
            gradient = torch.zeros_like(similarity)
            pull = torch.empty_like(between)
            width = positives_at_once(similarity)
            for start in range(0, between.shape[1], width):
                some = slice(start, start + width)
                columns = positives.columns[:, some]  # (B, p)
                logits = products[columns].add_(products[:, None]).sub_(between[:, some, None])
                cost, shares = log_one_plus_sum_exp(logits.flatten(0, 1))  # (B p, 1), (B p, B)
                counts = positives.filled[:, some].reshape(-1, 1)
                total += (cost * counts).sum()
                shares = shares.mul_(counts).unflatten(0, columns.shape)  # (B, p, B)
                gradient.add_(shares[:, 0] if width == 1 else shares.sum(1))
                torch.sum(shares, 2, out=pull[:, some])
            # (a, p) and (p, a) cost the same, so the part that reaches a row as a positive's
            # equals the part that reaches it as an anchor's.
            gradient.mul_(2).div_(count)
            gradient.mul_(4 * tangent)
            gradient.scatter_(1, positives.columns, pull.mul_(-(2 + 2 * tangent)).div_(count))
        return precomputed_gradient(total / count, (pairs.similarity, gradient), keep=pairs)


def positives_at_once(similarity: Tensor) -> int:
    """How many positives of an anchor are compared at once with all references (B, N).

    One on a CPU, where the matrix of one fills the cache; on other devices, which are idle while
    an operation is launched, as many as fit in `_MOST_AT_ONCE` numbers.
    """
    if not devices.reads_wait(similarity.device):
        return 1
    return max(1, _MOST_AT_ONCE // max(similarity.numel(), 1))
