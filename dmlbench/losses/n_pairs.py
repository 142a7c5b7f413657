"""N-pairs loss: one positive pair per class, each against the positives of all other classes.

Shapes: B batch, D dimension, C classes with two items or more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.data.devices import to_device
from dmlbench.losses.host_labels import host_labels
from dmlbench.losses.pairs import check_batch, nothing_to_learn
from dmlbench.losses.parameters import number
from dmlbench.losses.similarity import without_autocast


class NPairsLoss(nn.Module):
    """N-pairs loss on embeddings that are not normalised, one pair of every class in the batch.

    mean over classes c of -log(exp(a_c · p_c) / Σ_k exp(a_c · p_k))
    + l2_weight · mean over classes of (‖a_c‖² + ‖p_c‖²).

    scale: None for the paper's method. A number above 0 takes cosines, times that number, without
        the penalty on lengths; pytorch-metric-learning's loss is scale = 1 on embeddings of
        length 1, which cannot train: its logits stay within -1 and 1.
    l2_weight: penalty on the lengths, at least 0; only without a scale.

    Authors' code: none was published. With the defaults equal to the code of Zabihzadeh et al.
    (arXiv 2107.01130) on the same pairs; the pair is the first two items of a class in the batch,
    where that code draws two. The batch itself is drawn at random.

    Sohn: Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016.
    """

    name = "n-pairs"
    expected_failures = {"batch-order": "the first pair of each class makes the tuple"}

    def __init__(self, scale: float | None = None, l2_weight: float = 0.02) -> None:
        super().__init__()
        self.scale = None if scale is None else number(self.name, "scale", scale, gt=0)
        self.l2_weight = number(self.name, "l2_weight", l2_weight, ge=0)
        self.takes = "unnormalised" if scale is None else "embeddings"

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar; embeddings (B, D) float, labels (B,) int64.

        Without two classes of two items it is 0. Raises `ValueError` for other shapes or types.
        """
        check_batch(self.name, embeddings, labels)
        anchors, positives = first_two(labels, embeddings.device)
        if len(anchors) < 2:  # no negatives: nothing but lengths to learn
            return nothing_to_learn(embeddings)
        with without_autocast(embeddings.device):
            exact = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            if self.scale is None:
                value = pair_cross_entropy(exact[anchors], exact[positives], self.l2_weight)
            else:
                a, p = (nn.functional.normalize(exact[items]) for items in (anchors, positives))
                value = pair_cross_entropy(a * self.scale, p)
        # Items that are in no pair may not hide that training has diverged.
        return value + nothing_to_learn(embeddings.detach())


def pair_cross_entropy(anchors: Tensor, positives: Tensor, l2_weight: float = 0.0) -> Tensor:
    """Mean cross-entropy of a_c · p_k with the target c, and the penalty on squared lengths.

    anchors, positives: (C, D), pair c of class c.
    """
    targets = torch.arange(len(anchors), device=anchors.device)
    value = nn.functional.cross_entropy(anchors @ positives.T, targets)  # of (C, C)
    if l2_weight:
        value = value + l2_weight * (anchors.square() + positives.square()).sum(1).mean()
    return value


def first_two(labels: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
    """(C,) positions of the first and of the second item of every class that has both.

    labels: (B,), on any device. The positions are on `device`.
    """
    host = host_labels(labels)
    order = np.argsort(host, kind="stable")
    follows = host[order[1:]] == host[order[:-1]]  # the item after this one is of the same class
    first = follows.copy()
    first[1:] &= ~follows[:-1]
    start = np.flatnonzero(first)
    one, other = (torch.from_numpy(order[places]) for places in (start, start + 1))
    return to_device(one, device), to_device(other, device)
