"""Cross-batch memory: a pair loss between a batch and the embeddings of the batches before it.

Shapes: B batch, M memory, D width.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dmlbench.losses.binomial_deviance import BinomialDevianceLoss
from dmlbench.losses.circle import CircleLoss
from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.lifted_structure import LiftedStructureLoss
from dmlbench.losses.margin import MarginLoss
from dmlbench.losses.multi_similarity import MultiSimilarityLoss
from dmlbench.losses.nca import NCALoss
from dmlbench.losses.nt_xent import NTXentLoss
from dmlbench.losses.pairs import PairLoss, Pairs, Positives, check_batch, nothing_to_learn
from dmlbench.losses.parameters import invalid, whole
from dmlbench.losses.similarity import CosineMatrix, without_autocast
from dmlbench.losses.snr import SNRContrastiveLoss
from dmlbench.losses.supcon import SupConLoss
from dmlbench.losses.triplet import TripletLoss
from dmlbench.losses.tuplet_margin import TupletMarginLoss

# Angular needs products within the memory, n-pairs draws its pairs from one batch. Imported by
# name, so that the source hash of a record covers what is wrapped.
WRAPPABLE: dict[str, type[PairLoss]] = {
    "contrastive": ContrastiveLoss,
    "triplet": TripletLoss,
    "multi-similarity": MultiSimilarityLoss,
    "ms": MultiSimilarityLoss,
    "binomial-deviance": BinomialDevianceLoss,
    "nt-xent": NTXentLoss,
    "supcon": SupConLoss,
    "nca": NCALoss,
    "margin": MarginLoss,
    "circle": CircleLoss,
    "snr": SNRContrastiveLoss,
    "lifted-structure": LiftedStructureLoss,
    "tuplet-margin": TupletMarginLoss,
}


class CrossBatchMemoryLoss(nn.Module):
    """Cross-batch memory around another loss: anchors from the batch, references from a queue.

    The batch enters the queue first, over its oldest entries, then every anchor is compared with
    all of the queue but itself. Entries carry no gradient.

    loss: what is wrapped, a name in `WRAPPABLE`: any built-in pair or triplet loss but angular
        and n-pairs.
    memory_size: M, how many embeddings the queue holds, at least the batch size.
    params: parameters of the wrapped loss; None for its defaults.
    embedding_dim: D.
    num_classes: handed on to a wrapped loss that asks for it.

    The queue is part of the state, so that a resumed training goes on with it. Unlike
    pytorch-metric-learning's, NCA does not compare an anchor with its own copy.

    Wang, Zhang, Huang, Scott: Cross-Batch Memory for Embedding Learning, CVPR 2020
    (arXiv 1912.06798).
    """

    name = "cross-batch-memory"
    expected_failures = {"finite-differences": "the batch's own copies carry no gradient"}

    def __init__(
        self,
        embedding_dim: int,
        loss: str = "contrastive",
        memory_size: int = 1024,
        params: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__()
        width = whole(self.name, "embedding_dim", embedding_dim, ge=1)
        self.memory_size = whole(self.name, "memory_size", memory_size, ge=1)
        if params is not None and not isinstance(params, Mapping):
            raise invalid(self.name, "params", params, "a mapping of parameter names to values")
        self.loss = _wrapped(loss, dict(params or {}), num_classes)
        self.register_buffer("embedding_memory", torch.zeros(self.memory_size, width))
        self.register_buffer("label_memory", torch.zeros(self.memory_size, dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar; embeddings (B, D) float with B up to M, labels (B,) int64.

        Raises `ValueError` for other shapes or types.
        """
        check_batch(self.name, embeddings, labels)
        batch, width = embeddings.shape
        if batch > self.memory_size or width != self.embedding_memory.shape[1]:
            raise ValueError(
                f"loss {self.name!r}: the batch has shape {(batch, width)}, but the memory holds "
                f"{tuple(self.embedding_memory.shape)}; set memory_size to the batch size or more"
            )
        if batch == 0:
            return nothing_to_learn(embeddings)
        labels = labels.to(embeddings.device, torch.int64)
        memory, remembered, own = self._remember(embeddings.detach(), labels)
        if len(memory) < 2:
            return nothing_to_learn(embeddings)
        with without_autocast(embeddings.device):
            positives = Positives(labels, remembered, own)
            return self.loss.compare(Pairs(CosineMatrix(embeddings, memory), positives))

    def _remember(self, embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The filled part of the queue, (M', D) and (M',), and the batch's places in it, (B,)."""
        dtype = torch.promote_types(embeddings.dtype, self.embedding_memory.dtype)
        self.embedding_memory = self.embedding_memory.to(embeddings.device, dtype)
        self.label_memory = self.label_memory.to(embeddings.device)
        seen = int(self.seen)
        own = (torch.arange(len(labels), device=labels.device) + seen) % self.memory_size
        self.embedding_memory[own] = embeddings.to(dtype)
        self.label_memory[own] = labels
        self.seen += len(labels)
        filled = min(seen + len(labels), self.memory_size)
        # Views: they are read before the queue moves on, and backward needs nothing of them.
        return self.embedding_memory[:filled], self.label_memory[:filled], own


def _wrapped(name: Any, params: dict[str, Any], num_classes: int | None) -> PairLoss:
    if not isinstance(name, str) or name not in WRAPPABLE:
        raise invalid(CrossBatchMemoryLoss.name, "loss", name, f"one of {', '.join(WRAPPABLE)}")
    offered = dict(inspect.signature(WRAPPABLE[name]).parameters)
    given = {"num_classes": num_classes} if offered.pop("num_classes", None) else {}
    if not params.keys() <= offered.keys():
        allowed = f"parameters of {name}: {', '.join(offered)}"
        raise invalid(CrossBatchMemoryLoss.name, "params", params, allowed)
    return WRAPPABLE[name](**params, **given)
