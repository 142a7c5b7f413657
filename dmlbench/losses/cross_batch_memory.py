"""Cross-batch memory: a pair loss between a batch and the embeddings of the batches before it.

Shapes: B batch, M memory, D dimension.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmlbench.data import devices
from dmlbench.losses.binomial_deviance import BinomialDevianceLoss
from dmlbench.losses.circle import CircleLoss
from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.host_counters import HostCounters
from dmlbench.losses.host_labels import host_labels, largest_class
from dmlbench.losses.lifted_structure import LiftedStructureLoss
from dmlbench.losses.margin import MarginLoss
from dmlbench.losses.multi_similarity import MultiSimilarityLoss
from dmlbench.losses.nca import NCALoss
from dmlbench.losses.nt_xent import NTXentLoss
from dmlbench.losses.pairs import PairLoss, Pairs, Positives, check_batch, nothing_to_learn
from dmlbench.losses.parameters import flag, invalid, number, whole
from dmlbench.losses.similarity import CosineMatrix, precomputed_gradient, without_autocast
from dmlbench.losses.snr import SNRContrastiveLoss
from dmlbench.losses.supcon import SupConLoss
from dmlbench.losses.triplet import TripletLoss
from dmlbench.losses.tuplet_margin import TupletMarginLoss


class CosineContrastive(PairLoss):
    """The contrastive loss of the paper's authors, on cosines and summed, not averaged, over pairs.

    mean over anchors of Σ_p (1 - s_ap) + Σ_n s_an [s_an > margin].

    margin: cosine up to which a negative costs nothing, at most 1.
    """

    name = "cosine-contrastive"

    def __init__(self, margin: float = 0.5) -> None:
        super().__init__()
        self.margin = number(self.name, "margin", margin, ge=-1, le=1)

    def compare(self, pairs: Pairs) -> Tensor:
        with torch.no_grad():
            positives = pairs.positives
            filled = positives.filled.to(pairs.similarity.dtype)
            near = pairs.similarity.gather(1, positives.columns)  # (B, P)
            far = pairs.similarity.scatter(1, positives.same_class, -2.0)  # (B, N)
            active = torch.gt(far, self.margin, out=torch.empty_like(far))
            total = ((1 - near) * filled).sum() + (far.mul_(active)).sum()
            gradient = active.scatter_(1, positives.columns, -filled).div_(len(near))
        value = total / len(near)
        return precomputed_gradient(value, (pairs.similarity, gradient), keep=pairs)


# Imported by name, so the source hash of a record covers what is wrapped.
WRAPPABLE: dict[str, type[PairLoss]] = {
    "cosine-contrastive": CosineContrastive,
    "contrastive": ContrastiveLoss,
    "triplet": TripletLoss,
    "multi-similarity": MultiSimilarityLoss,
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


class CrossBatchMemoryLoss(HostCounters):
    """Cross-batch memory: another loss within the batch, and between the batch and a queue.

    Σ of the loss within the batch and weight · the loss of anchors from the batch against the
    queue, which the batch enters first, over its oldest entries. An anchor is compared with all of
    the queue except its own entry. Entries carry no gradient. Both losses hold the penalties of the
    wrapped one (l2_weight of lifted-structure, nu of margin), which so count 1 + weight times.

    loss: what is wrapped: "cosine-contrastive", the authors' own, or any built-in pair or triplet
        loss except angular and n-pairs.
    memory_size: M, how many embeddings the queue holds, at least the batch size. It never holds
        more than there are training images, num_images.
    start: how many steps only the loss within the batch is taken, and nothing is remembered. The
        authors wait for 1,000 or 2,000 of 34,000 and more; short recipes have fewer in all.
    weight: that of the loss against the queue, at least 0.
    batch_loss: whether the loss within the batch is taken as well.
    params: parameters of the wrapped loss; None for its defaults.
    embedding_dim: D.
    num_classes: handed on to a wrapped loss that asks for it.
    num_images: how many images are trained on; None where that is not known.

    "cosine-contrastive" has one parameter, margin (0.5): mean over anchors of
    Σ_p (1 - s_ap) + Σ_n s_an [s_an > margin]. Queue and steps are part of the state, so a
    resumed training continues with them.

    Authors' code: equal, until the queue is full for the first time. Deviations: start, which is
    2,000 there; a full queue is overwritten entry by entry, where theirs leaves a batch that does
    not fit at its end. start = 0, batch_loss = false and loss = "contrastive" is
    pytorch-metric-learning's.

    Wang, Zhang, Huang, Scott: Cross-Batch Memory for Embedding Learning, CVPR 2020
    (arXiv 1912.06798).
    """

    name = "cross-batch-memory"
    counters = ("seen", "steps")
    expected_failures = {
        "finite-differences": "the batch's own copies carry no gradient",
        "batch-order": "a wrapped loss may draw by place",
    }

    def __init__(
        self,
        embedding_dim: int,
        loss: str = "cosine-contrastive",
        memory_size: int = 8192,
        start: int = 200,
        weight: float = 1.0,
        batch_loss: bool = True,
        params: Mapping[str, Any] | None = None,
        num_classes: int | None = None,
        num_images: int | None = None,
    ) -> None:
        super().__init__()
        dim = whole(self.name, "embedding_dim", embedding_dim, ge=1)
        size = whole(self.name, "memory_size", memory_size, ge=1)
        if num_images is not None:
            size = min(size, whole(self.name, "num_images", num_images, ge=1))
        self.memory_size = size
        self.start = whole(self.name, "start", start)
        self.weight = number(self.name, "weight", weight, ge=0)
        self.batch_loss = flag(self.name, "batch_loss", batch_loss)
        if params is not None and not isinstance(params, Mapping):
            raise invalid(self.name, "params", params, "a mapping of parameter names to values")
        if self.weight == 0 and not self.batch_loss:
            raise invalid(self.name, "weight", weight, "above 0 without batch_loss")
        self.loss = _wrapped(loss, dict(params or {}), num_classes)
        self.takes = getattr(self.loss, "takes", "embeddings")
        self.learning_rate = getattr(self.loss, "learning_rate", None)
        self.register_buffer("embedding_memory", torch.zeros(size, dim))
        self.register_buffer("label_memory", torch.zeros(size, dtype=torch.int64))
        self.start_counters()
        self._host_labels: np.ndarray | None = None

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar; embeddings (B, D) float with B up to M, labels (B,) int64.

        Raises `ValueError` for other shapes or types.
        """
        check_batch(self.name, embeddings, labels)
        batch, dim = embeddings.shape
        if batch > self.memory_size or dim != self.embedding_memory.shape[1]:
            raise ValueError(
                f"loss {self.name!r}: the batch has shape {(batch, dim)}, but the memory holds "
                f"{tuple(self.embedding_memory.shape)}; set memory_size to the batch size or more"
            )
        if batch == 0:
            return nothing_to_learn(embeddings)
        # Once, for both losses: half precision would round each one's gradient.
        embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        self.steps += 1
        if self.steps <= self.start:
            return self.loss(embeddings, labels)
        within = self.loss(embeddings, labels) if self.batch_loss else nothing_to_learn(embeddings)
        host = host_labels(labels) if devices.reads_wait(embeddings.device) else None
        labels = labels.to(embeddings.device, torch.int64)
        largest = None if host is None else self._remember_on_host(host)
        memory, remembered, own = self._remember(embeddings.detach(), labels)
        if len(memory) < 2:
            return within
        with without_autocast(embeddings.device):
            positives = Positives(labels, remembered, own, largest)
            across = self.loss.compare(Pairs(CosineMatrix(embeddings, memory), positives))
        return within + self.weight * across

    def _remember_on_host(self, labels: np.ndarray) -> int:
        """Put labels (B,) in the queue that the host keeps; gives K of batch against queue."""
        seen, size = int(self.seen), self.memory_size
        if self._host_labels is None:
            # Read once where a state was loaded: a new queue holds nothing.
            loaded = self.label_memory.cpu().numpy().copy() if seen else np.zeros(size, np.int64)
            self._host_labels = loaded
        self._host_labels[(np.arange(len(labels)) + seen) % size] = labels
        return largest_class(labels, self._host_labels[: min(seen + len(labels), size)])

    def _load_from_state_dict(self, *arguments: Any) -> None:
        super()._load_from_state_dict(*arguments)
        self._host_labels = None

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
