"""N-pairs loss: one positive pair a class, each against the positives of all other classes.

Shapes: B batch, D width, C classes with two items or more.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmlbench.losses.pairs import check_batch, nothing_to_learn
from dmlbench.losses.similarity import without_autocast


class NPairsLoss(nn.Module):
    """N-pairs loss on cosines, from the first two items of every class in the batch.

    mean over classes c of -log(exp(a_c · p_c) / Σ_k exp(a_c · p_k)).

    The embeddings are normalised, as everywhere here; the paper regularises their length.

    Sohn: Improved Deep Metric Learning with Multi-class N-pair Loss Objective, NIPS 2016.
    """

    name = "n-pairs"
    expected_failures = {"batch-order": "the first pair of each class makes the tuple"}

    def __init__(self) -> None:
        super().__init__()

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar; embeddings (B, D) float, labels (B,) int64.

        Without a class of two items it is 0. Raises `ValueError` for other shapes or types.
        """
        check_batch(self.name, embeddings, labels)
        anchors, positives = first_two(labels.to(embeddings.device, torch.int64))
        if not len(anchors):
            return nothing_to_learn(embeddings)
        with without_autocast(embeddings.device):
            exact = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
            a, p = (nn.functional.normalize(exact[items]) for items in (anchors, positives))
            targets = torch.arange(len(anchors), device=exact.device)
            value = nn.functional.cross_entropy(a @ p.T, targets)  # (C, C)
        # Items that are in no pair may not hide that training has diverged.
        return value + nothing_to_learn(embeddings.detach())


def first_two(labels: Tensor) -> tuple[Tensor, Tensor]:
    """(C,) positions of the first and of the second item of every class that has both."""
    ranked, order = labels.sort(stable=True)
    follows = ranked[1:] == ranked[:-1]  # the item after this one is of the same class
    first = follows.clone()
    first[1:] &= ~follows[:-1]
    start = first.nonzero()[:, 0]
    return order[start], order[start + 1]
