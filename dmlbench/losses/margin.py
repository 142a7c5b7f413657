"""Margin loss: positives inside and negatives outside of a boundary that may be learned.

Shapes: B anchors, N references, P positives per anchor (see `dmlbench.losses.pairs`), D dimension.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmlbench.data.devices import to_device
from dmlbench.losses.host_counters import HostCounters
from dmlbench.losses.pairs import PairLoss, Pairs, check_labels
from dmlbench.losses.parameters import choice, flag, invalid, number, whole
from dmlbench.losses.rowwise import ABSENT
from dmlbench.losses.similarity import precomputed_gradient

MININGS = ("all", "distance-weighted")
# 2^32 over the golden ratio: of a thousand seeds, none reaches the draws of another within a
# million batches. A generator of the CPU takes 32 bits.
_BETWEEN_SEEDS = 2654435761


class _Negatives(NamedTuple):
    """The negatives that a batch is compared with.

    columns: (B, P) of one negative for each positive; None for all N.
    lack: (B, P) or (B, N), how far each is inside the boundary and its margin, at least 0.
    pushed, pulled: how often a negative and a positive pair count.
    """

    columns: Tensor | None
    lack: Tensor
    pushed: Tensor
    pulled: Tensor


class MarginLoss(HostCounters, PairLoss):
    """Margin loss on Euclidean distances of the normalised embeddings, over triplets.

    Σ over triplets of max(0, d_ap - β + margin) + max(0, β - d_an + margin), over the number of
    terms above 0; plus nu · β if β is learned.

    margin: α in the paper, at least 0.
    beta: β, the boundary between positive and negative distances, or where it starts.
    nu: weight of the regulariser of a learned β, at least 0.
    learn_beta: make β a parameter.
    class_beta: a β for each class, taken by the anchor's label; labels must be below num_classes.
    beta_lr: learning rate of a learned β, above 0; None for the recipe's rate of losses. The
        default is that of Roth et al. (arXiv 2002.08473), for Adam; the authors have SGD at 0.1.
    mining: "distance-weighted": one negative for every positive pair, drawn with a chance inverse
        to the density of its distance on a sphere; or "all" triplets.
    cutoff: distances below count as this one in the draw, above 0.
    nonzero_loss_cutoff: negatives at this distance or beyond are never drawn, above 0.
    seed: start of the draws. They use a generator of their own, and the number of draws so far
        is part of the state, so a resumed training continues the sequence.
    num_classes: only for class_beta.

    Authors' code: equal on the same draws. Deviation: an anchor without a negative within
    nonzero_loss_cutoff is left out, where theirs draws from the whole batch, positives included.
    pytorch-metric-learning's loss is mining = "all", learn_beta = class_beta = false; its sampler
    also draws the positives, with replacement.

    Wu, Manmatha, Smola, Krähenbühl: Sampling Matters in Deep Embedding Learning, ICCV 2017
    (arXiv 1706.07567).
    """

    name = "margin"
    expected_failures = {"batch-order": "negatives are drawn by their place in the batch"}

    def __init__(
        self,
        margin: float = 0.2,
        beta: float = 1.2,
        nu: float = 0.0,
        learn_beta: bool = True,
        class_beta: bool = True,
        beta_lr: float | None = 0.0005,
        mining: str = "distance-weighted",
        cutoff: float = 0.5,
        nonzero_loss_cutoff: float = 1.4,
        seed: int = 0,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        self.margin = number(self.name, "margin", margin, ge=0)
        self.nu = number(self.name, "nu", nu, ge=0)
        self.learn_beta = flag(self.name, "learn_beta", learn_beta)
        self.class_beta = flag(self.name, "class_beta", class_beta)
        if beta_lr is not None:
            beta_lr = number(self.name, "beta_lr", beta_lr, gt=0)
        #: What the optimiser takes for β, where it is learned.
        self.learning_rate = beta_lr if self.learn_beta else None
        self.mining = choice(self.name, "mining", mining, MININGS)
        self.cutoff = number(self.name, "cutoff", cutoff, gt=0, lt=2)
        self.nonzero_loss_cutoff = number(
            self.name, "nonzero_loss_cutoff", nonzero_loss_cutoff, gt=0
        )
        self.seed = whole(self.name, "seed", seed)
        boundary = torch.tensor(number(self.name, "beta", beta))
        if self.class_beta:
            if num_classes is None:
                raise invalid(self.name, "num_classes", num_classes, "given with class_beta")
            boundary = boundary.repeat(whole(self.name, "num_classes", num_classes, ge=1))
        if learn_beta:
            self.beta = nn.Parameter(boundary)
        else:
            self.register_buffer("beta", boundary, persistent=False)
        if self.mining == "distance-weighted":
            self.counters = ("draws",)
            self.start_counters()

    def compare(self, pairs: Pairs) -> Tensor:
        positives = pairs.positives
        boundary = self._boundary(pairs)
        with torch.no_grad():
            distance, slope = pairs.distances()
            edge = boundary.detach()[:, None]
            near = distance.gather(1, positives.columns)  # (B, P)
            excess = (near - edge + self.margin).clamp_min_(0)
            negatives = self._all_negatives if self.mining == "all" else self._drawn_negatives
            chosen = negatives(pairs, distance, edge)
            total = (excess * chosen.pulled).sum() + (chosen.lack * chosen.pushed).sum()
            pulled = excess.sign_().mul_(chosen.pulled)
            pushed = chosen.lack.sign_().mul_(chosen.pushed)
            share = 1 / (pulled.sum() + pushed.sum()).clamp_min(1)
            by_boundary = (pushed.sum(1) - pulled.sum(1)).mul_(share)
            if chosen.columns is None:
                gradient = pushed
            else:
                zeros = torch.zeros_like(distance)
                gradient = zeros.scatter_add_(1, chosen.columns, pushed)
            gradient.scatter_(1, positives.columns, -pulled).mul_(slope).mul_(share)
        value = precomputed_gradient(
            total * share, (pairs.similarity, gradient), (boundary, by_boundary), keep=pairs
        )
        if self.learn_beta and self.nu > 0:
            value = value + self._regulariser(boundary, positives, chosen.pulled, share)
        return value

    def _boundary(self, pairs: Pairs) -> Tensor:
        """The boundary of each item (B,); a learned one gets its gradient through this tensor."""
        boundary = self.beta.to(pairs.similarity.device, pairs.similarity.dtype)
        labels = pairs.positives.labels
        if not self.class_beta:
            return boundary.expand(len(labels))
        check_labels(self.name, labels, len(boundary))
        return boundary[labels]

    def _all_negatives(self, pairs: Pairs, distance: Tensor, edge: Tensor) -> _Negatives:
        """Every negative of every item. Overwrites `distance`."""
        positives, dtype = pairs.positives, pairs.similarity.dtype
        distance.scatter_(1, positives.same_class, torch.inf)
        lack = distance.neg_().add_(edge + self.margin).clamp_min_(0)  # (B, N)
        # A pair counts as often as there are triplets with it.
        pulled = positives.filled.to(dtype) * positives.negatives
        return _Negatives(None, lack, positives.count.to(dtype), pulled)

    def _drawn_negatives(self, pairs: Pairs, distance: Tensor, edge: Tensor) -> _Negatives:
        """One negative for each positive, drawn by its distance."""
        filled = pairs.positives.filled.to(pairs.similarity.dtype)
        columns, counts = self._draw(pairs, distance, filled)
        far = distance.gather(1, columns)  # (B, P)
        lack = (edge + self.margin - far).clamp_min_(0)
        return _Negatives(columns, lack, counts, counts)

    def _regulariser(self, boundary, positives, times_pulled: Tensor, share: Tensor) -> Tensor:
        if not self.class_beta:
            return self.nu * boundary[0] * (times_pulled.sum() > 0)
        # Summed over triplets, as the pairs are; no pair above 0 leaves share at 1.
        return self.nu * (boundary * times_pulled.sum(1)).sum() * share

    def _draw(self, pairs: Pairs, distance: Tensor, filled: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P) columns of negatives, one for each positive, and (B, P) which count."""
        dim = pairs.cosine.dim
        clamped = distance.clamp(min=self.cutoff)
        # The density of a distance d between random points on a sphere in D dimensions is that of
        # (d² (1 - d²/4))^((D - 3) / 2) d.
        square = clamped.square()
        scratch = torch.mul(square, -0.25).add_(1).clamp_min_(torch.finfo(square.dtype).tiny)
        logits = square.mul_(scratch).log_().mul_((3 - dim) / 2)
        too_far = torch.ge(clamped, self.nonzero_loss_cutoff, out=scratch)
        logits.add_(too_far, alpha=ABSENT)
        logits.scatter_(1, pairs.positives.same_class, ABSENT)
        possible = logits.amax(1, keepdim=True) > ABSENT / 2
        # On the CPU, whatever the device: a trial draws the same on both.
        place = (self.seed * _BETWEEN_SEEDS + int(self.draws)) % 2**32
        generator = torch.Generator().manual_seed(place)
        self.draws += 1
        # Inverting the sums costs a fifth of torch.multinomial, which fails on NaN.
        sums = torch.softmax(logits, dim=1).div_(clamped).cumsum(1)  # (B, N)
        # Always the same ones, whatever the embeddings' precision.
        drawn = torch.rand(filled.shape, generator=generator, dtype=torch.float64)
        share = to_device(drawn.to(sums.dtype), sums.device)
        total = sums[:, -1:].clone()
        # Below the total, so the first sum above it is that of an item with a chance.
        target = (share * total).minimum(torch.nextafter(total, torch.zeros_like(total)))
        drawn = torch.searchsorted(sums, target, right=True)
        return drawn.clamp_(max=sums.shape[1] - 1), filled * possible
