"""Multi-similarity loss: soft weights for hard pairs, after a mining step of its own.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import flag, number
from dmlbench.losses.rowwise import ABSENT, log_one_plus_sum_exp
from dmlbench.losses.similarity import precomputed_gradient


class MultiSimilarityLoss(PairLoss):
    """Multi-similarity loss on cosines, with its miner.

    mean over anchors of log(1 + Σ_p exp(-α (s_ap - base))) / α
    + log(1 + Σ_n exp(β (s_an - base))) / β

    alpha: weight sharpness among positives, above 0.
    beta: weight sharpness among negatives, above 0.
    base: cosine at which a pair costs log 2 by itself.
    mining: keep a positive only if it is less similar than the nearest negative plus `epsilon`,
        a negative only if it is more similar than the farthest positive minus `epsilon`.
    epsilon: the miner's slack in cosine, at least 0.

    Unlike pytorch-metric-learning, a batch in which the miner leaves one pair of each kind is
    not dropped.

    Authors' code: equal with beta = 40, their default; the paper's, and so ours, is 50. Theirs
    fails where an item has no positive.

    Wang, Han, Huang, Dong, Scott: Multi-Similarity Loss with General Pair Weighting for Deep
    Metric Learning, CVPR 2019 (arXiv 1904.06627).
    """

    name = "multi-similarity"

    def __init__(
        self,
        alpha: float = 2.0,
        beta: float = 50.0,
        base: float = 0.5,
        mining: bool = True,
        epsilon: float = 0.1,
    ) -> None:
        super().__init__()
        self.alpha = number(self.name, "alpha", alpha, gt=0)
        self.beta = number(self.name, "beta", beta, gt=0)
        self.base = number(self.name, "base", base)
        self.mining = flag(self.name, "mining", mining)
        self.epsilon = number(self.name, "epsilon", epsilon, ge=0)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            similarity, positives = pairs.similarity.detach(), pairs.positives
            near = similarity.gather(1, positives.columns)  # (B, P)
            kept = positives.filled
            logits = (similarity - self.base).mul_(self.beta)  # (B, N)
            logits.scatter_(1, positives.same_class, ABSENT)
            if self.mining:
                farthest = near.masked_fill(~kept, torch.inf).amin(1, keepdim=True)  # (B, 1)
                too_easy = torch.le(
                    similarity, farthest - self.epsilon, out=torch.empty_like(similarity)
                )
                nearest = logits.amax(1, keepdim=True).div_(self.beta).add_(self.base)
                kept = kept & ~(near - self.epsilon >= nearest)  # NaN is kept
                logits.add_(too_easy, alpha=ABSENT)
            push, gradient = log_one_plus_sum_exp(logits)
            pull_logits = (self.base - near).mul_(self.alpha).masked_fill_(~kept, ABSENT)
            pull, pulling = log_one_plus_sum_exp(pull_logits)
            value = (pull / self.alpha + push / self.beta).mean()
            # α and β cancel against the slopes of the exponents.
            gradient.scatter_(1, positives.columns, -pulling).div_(len(gradient))
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)
