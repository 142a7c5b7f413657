"""A batch seen as pairs: who is whose positive, how far apart, and the base of all pair losses.

Shapes: B anchors (rows), N references (columns; in a plain batch the same items), D dimension,
K the largest class, P = max(K - 1, 1) positives per anchor, padded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dmlbench.data import devices
from dmlbench.losses.host_labels import host_labels, largest_class
from dmlbench.losses.similarity import CosineMatrix, LastResult, cosines, without_autocast


class Positives:
    """The same-class references of every anchor, as columns instead of B x N masks.

    Made from the labels of anchors (B,) and references (N,), and the column (B,) where each
    anchor meets itself.

    largest: K, where it is known: reading it from a device would wait.

    labels: (B,) int64, the anchors'.
    columns: (B, P) int64, the positives of each anchor in ascending order, padded with
        `self_column`.
    filled: (B, P) bool, where `columns` holds a positive and no padding.
    same_class: (B, K) int64, the positives and the anchor itself, padded by repetition: what
        has to be hidden for only negatives to be left.
    self_column: (B, 1) int64, the column where the anchor meets itself.
    count, negatives: (B, 1) int64, how many positives and negatives each anchor has.
    """

    def __init__(
        self,
        labels: Tensor,
        references: Tensor,
        self_column: Tensor,
        largest: int | None = None,
    ) -> None:
        labels = labels.contiguous()  # or searchsorted copies it twice, and warns
        self.labels = labels
        order = references.argsort(stable=True)
        ranked = references[order]
        first = torch.searchsorted(ranked, labels)[:, None]
        size = torch.searchsorted(ranked, labels, right=True)[:, None] - first
        widest = int(size.max()) if largest is None else largest
        position = torch.empty_like(order)
        position[order] = torch.arange(len(order), device=order.device)
        rank = position[self_column][:, None] - first  # (B, 1), the anchor's place in its class

        places = torch.arange(widest, device=order.device)
        self.same_class = order[first + torch.where(places < size, places, 0)]
        places = places[: max(widest - 1, 1)]
        self.count = size - 1
        self.filled = places < self.count
        self.columns = order[first + torch.where(self.filled, places + (places >= rank), rank)]
        self.self_column = self_column[:, None]
        self.negatives = len(references) - size


class Pairs:
    """Anchors against references: the cosine matrix in the graph, and the positives.

    similarity: (B, N) cosines. Never written to; losses give their gradient to it.
    positives: which references are of the anchor's class.
    """

    def __init__(self, cosine: CosineMatrix, positives: Positives) -> None:
        self.cosine = cosine
        self.similarity = cosine.matrix
        self.positives = positives

    def squared_distances(self) -> Tensor:
        """(B, N) squared Euclidean distances of the normalised embeddings, a fresh constant.

        A rounding's breadth above zero (8 epsilon) counts as zero: duplicates have distance 0.
        """
        squares = self.cosine.anchor_squares + self.cosine.reference_squares
        squares.sub_(self.similarity.detach(), alpha=2)
        return nn.functional.threshold_(squares, 8 * torch.finfo(squares.dtype).eps, 0.0)

    def distances(self) -> tuple[Tensor, Tensor]:
        """(B, N) Euclidean distances and -d distance / d similarity (1 / distance), constants.

        At distance 0 the second is 0, the subgradient that leaves duplicates where they are.
        """
        squares = self.squared_distances()
        slopes = nn.functional.threshold(squares, 0.0, torch.inf).rsqrt_()
        return squares.mul_(slopes), slopes

    def raw_distances(self) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N) Euclidean distances of the embeddings as they came, constants.

        With them 1 / distance (0 at distance 0, as for `distances`) and (N,) the references'
        lengths.
        """
        own = self.cosine.norms().detach()[:, None]  # (B, 1)
        memory = self.cosine.memory
        lengths = own[:, 0] if memory is None else torch.linalg.vector_norm(memory, dim=1)
        lengths = lengths.to(own.dtype)
        most = own.square() + lengths.square()  # (B, N), the squared distance at a right angle
        squares = torch.addcmul(most, self.similarity.detach() * own, lengths, value=-2)
        squares.masked_fill_(squares <= most.mul_(4 * torch.finfo(most.dtype).eps), 0)
        inverse = nn.functional.threshold(squares, 0.0, torch.inf).rsqrt_()
        return squares.mul_(inverse), inverse, lengths


_last_positives = LastResult()


def batch_pairs(embeddings: Tensor, labels: Tensor) -> Pairs:
    """All pairs of a batch of two or more: embeddings (B, D) float, labels (B,) int64.

    Losses of one batch that call this with the same tensor objects share the B x B product and
    the `Positives`, while any of their results is alive.
    """
    positives = _last_positives.get(labels)
    if positives is None or positives.labels.device != embeddings.device:
        moved = labels.to(embeddings.device, torch.int64)
        largest = None
        if devices.reads_wait(moved.device):
            host = host_labels(labels)
            largest = largest_class(host, host)
        own = torch.arange(len(moved), device=moved.device)
        positives = Positives(moved, moved, own, largest)
        _last_positives.put(labels, positives)
    return Pairs(cosines(embeddings), positives)


def check_batch(loss: str, embeddings: Tensor, labels: Tensor) -> None:
    """Raise `ValueError` unless embeddings are (B, D) floats and labels (B,) whole numbers."""
    for kind, given in (("embeddings", embeddings), ("labels", labels)):
        if not isinstance(given, Tensor):
            raise ValueError(
                f"loss {loss!r}: {kind} are of type {type(given).__name__}, but they must be a "
                f"torch.Tensor; torch.as_tensor({kind}) makes one"
            )
    if embeddings.ndim != 2 or not embeddings.is_floating_point():
        raise ValueError(
            f"loss {loss!r}: embeddings have shape {tuple(embeddings.shape)} and type "
            f"{embeddings.dtype}, but they must be (batch, dimension) floating point numbers"
        )
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if labels.shape != embeddings.shape[:1] or not whole:
        raise ValueError(
            f"loss {loss!r}: labels have shape {tuple(labels.shape)} and type {labels.dtype}, but "
            f"they must be ({len(embeddings)},) whole numbers, one for each embedding"
        )


def check_labels(loss: str, labels: Tensor, classes: int) -> None:
    """Raise `ValueError` unless the labels (B,) are in [0, classes)."""
    if not len(labels):
        return
    low, high = _range(labels)
    if low < 0 or high >= classes:
        raise ValueError(
            f"loss {loss!r}: labels range from {low} to {high}, but they must be in "
            f"[0, {classes}), one number for each of num_classes"
        )


def _range(labels: Tensor) -> tuple[int, int]:
    """The smallest and the largest label."""
    if devices.reads_wait(labels.device):
        host = host_labels(labels)
        return int(host.min()), int(host.max())
    low, high = torch.aminmax(labels)
    return int(low), int(high)


class PairLoss(nn.Module):
    """The base of the losses over pairs and triplets: a subclass says what pairs cost.

    Subclasses set `name` and implement `compare`, which `dmlbench.losses.cross_batch_memory` also
    calls with a batch against a memory.
    """

    name = "pair loss"

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar in float32 (float64 for float64 embeddings).

        embeddings: (B, D) float, normalised here. labels: (B,) int64. Fewer than two items, or
        nothing to learn from them, give 0 with zero gradients. Raises `ValueError` for other
        shapes or types. The gradient cannot be differentiated again.
        """
        check_batch(self.name, embeddings, labels)
        if len(embeddings) < 2:
            return nothing_to_learn(embeddings)
        with without_autocast(embeddings.device):
            return self.compare(batch_pairs(embeddings, labels))

    def compare(self, pairs: Pairs) -> Tensor:
        """The loss of `pairs`, a scalar in their autograd graph."""
        raise NotImplementedError


def nothing_to_learn(embeddings: Tensor) -> Tensor:
    """Exactly 0, connected to `embeddings`; NaN where they hold NaN or infinities."""
    return (embeddings.to(torch.promote_types(embeddings.dtype, torch.float32)) * 0).sum()
