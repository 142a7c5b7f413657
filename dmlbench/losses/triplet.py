"""Triplet loss over all valid triplets of a batch, without listing them.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmlbench.losses.pairs import PairLoss, Pairs
from dmlbench.losses.parameters import choice, flag, number
from dmlbench.losses.similarity import precomputed_gradient

MININGS = ("all", "hard", "semi-hard", "batch-hard")


class TripletLoss(PairLoss):
    """Triplet margin loss on Euclidean distances of the normalised embeddings.

    mean⁺ over triplets of max(0, d_ap - d_an + margin), mean⁺ averaging over those above 0.

    margin: at least 0, above 0 for semi-hard mining. None is 0.2 for semi-hard mining and 0.05 for
        the others.
    mining: which triplets count: "all"; "hard", whose negative is no farther than the positive;
        "semi-hard", whose negative is farther, but within the mining margin; "batch-hard", the
        farthest positive and the nearest negative of each anchor.
    mining_margin: "all" and "semi-hard" take triplets with d_an - d_ap up to this one, at least
        0, above 0 for semi-hard mining. None: the same as margin. A larger one changes nothing,
        since the cost is then 0.
    squared: use squared distances (up to 4) instead of distances (up to 2).

    Time is P comparisons of B x N matrices, memory one matrix and no list of triplets.

    Authors' code: none was published for FaceNet. With margin = 1, mining = "semi-hard" and
    mining_margin = 0.1 equal to the triplet loss of Zabihzadeh et al. (arXiv 2107.01130); the other
    kinds of mining equal pytorch-metric-learning's.

    Weinberger, Saul: Distance Metric Learning for Large Margin Nearest Neighbor Classification,
    JMLR 2009; semi-hard: Schroff, Kalenichenko, Philbin, FaceNet, CVPR 2015 (arXiv 1503.03832);
    batch-hard: Hermans, Beyer, Leibe, In Defense of the Triplet Loss, 2017 (arXiv 1703.07737).
    """

    name = "triplet"

    def __init__(
        self,
        margin: float | None = None,
        mining: str = "all",
        squared: bool = False,
        mining_margin: float | None = None,
    ) -> None:
        super().__init__()
        self.mining = choice(self.name, "mining", mining, MININGS)
        if margin is None:
            margin = 0.2 if mining == "semi-hard" else 0.05
        # Within 0 of the positive there is no negative that is farther.
        bound = {"gt": 0.0} if self.mining == "semi-hard" else {"ge": 0.0}
        self.margin = number(self.name, "margin", margin, **bound)
        self.squared = flag(self.name, "squared", squared)
        if mining_margin is None:
            mining_margin = self.margin
        self.mining_margin = number(self.name, "mining_margin", mining_margin, **bound)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            if self.squared:
                distance, slope = pairs.squared_distances(), 2.0
            else:
                distance, slope = pairs.distances()
            columns, filled = pairs.positives.columns, pairs.positives.filled
            # Out of any triplet's reach, on the side that costs nothing; finite, so zero
            # times it is zero.
            far = torch.finfo(distance.dtype).max / 4
            positive = distance.gather(1, columns).masked_fill_(~filled, -far)  # (B, P)
            negative = distance.scatter_(1, pairs.positives.same_class, far)  # (B, N)
            mine = self._hardest if self.mining == "batch-hard" else self._sum
            value, pull, push = mine(positive, negative)
            gradient = push.mul_(slope)
            at_positive = slope if self.squared else slope.gather(1, columns)
            gradient.scatter_(1, columns, -pull * at_positive)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)

    def _sum(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, (B, P) its slope along positive, (B, N) minus that along negative distances."""
        reach = positive + self.margin
        widest_gap = 0.0 if self.mining == "hard" else min(self.margin, self.mining_margin)
        # Where the cost at the widest gap is above 0, a triplet exactly there counts.
        compare = torch.le if widest_gap < self.margin else torch.lt
        active = torch.empty_like(negative)
        farther = torch.empty_like(negative)
        pushes = torch.zeros_like(negative)  # triplets that a negative takes part in
        pulls = torch.empty_like(positive)  # triplets that a positive takes part in
        # Comparisons write floats: on a CPU five times as fast as bool, and ready to be summed.
        for index in range(positive.shape[1]):
            distance = positive[:, index, None]
            compare(negative, distance + widest_gap, out=active)
            if self.mining == "semi-hard":
                active.mul_(torch.gt(negative, distance, out=farther))
            pushes.add_(active)
            torch.sum(active, 1, out=pulls[:, index])
        count = pulls.sum().clamp_min_(1)
        # Summed row by row first, so the two large sums never lose the small difference.
        taken = torch.mul(pushes, negative, out=active).sum(1)
        total = ((pulls * reach).sum(1) - taken).sum()
        return total / count, pulls.div_(count), pushes.div_(count)

    def _hardest(self, positive: Tensor, negative: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        farthest, place = positive.max(1, keepdim=True)  # (B, 1)
        nearest, column = negative.min(1, keepdim=True)
        excess = (farthest - nearest).add_(self.margin).clamp_min_(0)
        share = excess.sign()
        count = share.sum().clamp_min_(1)
        share.div_(count)
        pull = torch.zeros_like(positive).scatter_(1, place, share)
        push = torch.zeros_like(negative).scatter_(1, column, share)
        return excess.sum() / count, pull, push
