"""What losses with learned class vectors (proxies) share: cosines to them, and a cross-entropy.

B batch, D embedding dimension, C classes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from dmlbench.data import devices
from dmlbench.losses.pairs import check_batch, check_labels
from dmlbench.losses.parameters import whole
from dmlbench.losses.rowwise import log_sum_exp
from dmlbench.losses.similarity import precomputed_gradient, without_autocast

# As in torch.nn.functional.normalize: a shorter vector has no direction.
SHORTEST = 1e-12


class ProxyLoss(nn.Module):
    """The base of the losses with class vectors: a subclass sets `name`, implements `compare`.

    num_classes: C, classes labelled 0 to C − 1.
    embedding_dim: D.
    each: K where a class has several proxies.

    Makes the parameter `proxies`, (C, D) or (K, C, D), for the subclass to fill. Raises
    `ValueError` naming the loss unless the sizes are whole numbers of at least 1.
    """

    name = "proxy loss"

    def __init__(self, num_classes: int, embedding_dim: int, each: int | None = None):
        super().__init__()
        classes = whole(self.name, "num_classes", num_classes, ge=1)
        dim = whole(self.name, "embedding_dim", embedding_dim, ge=1)
        sizes = (classes, dim) if each is None else (each, classes, dim)
        self.proxies = nn.Parameter(torch.empty(sizes))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar in float32 (float64 for float64 embeddings or proxies).

        embeddings: (B, D) float. labels: (B,) int64 in [0, C). An empty batch gives 0. Raises
        `ValueError` for other shapes, types or labels. The gradient cannot be differentiated again.
        """
        check_batch(self.name, embeddings, labels)
        self._check_range(embeddings, labels)
        dtype = torch.promote_types(embeddings.dtype, torch.float32)
        labels = labels.to(embeddings.device, torch.int64)
        # A scale of 64 or a temperature of 0.05 would use up the three digits of bfloat16.
        with without_autocast(embeddings.device):
            return self.compare(embeddings.to(dtype), labels)

    def compare(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss of a checked batch of at least float32, a scalar."""
        raise NotImplementedError

    def _check_range(self, embeddings: Tensor, labels: Tensor) -> None:
        classes, dim = self.proxies.shape[-2:]
        if embeddings.shape[1] != dim:
            raise ValueError(
                f"loss {self.name!r}: embeddings have shape {tuple(embeddings.shape)}, but they "
                f"must be (batch, {dim}), the dimension that the loss was built for"
            )
        check_labels(self.name, labels, classes)


class _UnitRows(Function):
    """x (..., D) -> x / ‖x‖. Autograd's own backward needs twice the passes over x."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # (..., 1)
        unit = x / length.clamp_min(SHORTEST)
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        along = torch.linalg.vecdot(grad, unit).unsqueeze(-1)  # (..., 1)
        inverse = torch.where(length > SHORTEST, length.reciprocal(), 0.0)
        return torch.addcmul(grad, unit, along, value=-1).mul_(inverse)


def unit_rows(x: Tensor) -> Tensor:
    """Return `x` (..., D) with every row scaled to length 1; a zero row stays 0.

    The gradient of a row without a direction is 0, where that of
    `torch.nn.functional.normalize` is 1e12 times the incoming one.
    """
    return _UnitRows.apply(x)


def cosine_to_proxies(embeddings: Tensor, proxies: Tensor) -> Tensor:
    """Return the cosine of every embedding (B, D) with every proxy (..., C, D) as (B, ..., C).

    Both are computed in the wider of their two types.
    """
    dtype = torch.promote_types(embeddings.dtype, proxies.dtype)
    return cosine_to_units(embeddings.to(dtype), unit_rows(proxies.to(dtype)))


def cosine_to_units(embeddings: Tensor, units: Tensor) -> Tensor:
    """`cosine_to_proxies` for proxies (..., C, D) of length 1, of the embeddings' type."""
    cosine = unit_rows(embeddings) @ units.flatten(0, -2).T
    return cosine.unflatten(1, units.shape[:-1])


#: Of the similarities to the target classes (B, 1): what replaces them, and its slope (None: 1).
OnTarget = Callable[[Tensor], tuple[Tensor, Tensor | None]]


def scaled_cross_entropy(
    similarity: Tensor,
    labels: Tensor,
    scale: float,
    *,
    on_target: OnTarget | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Return the mean cross-entropy of softmax(scale · similarity) as a scalar.

    similarity: (B, C) floats.
    labels: (B,) int64 in [0, C).
    scale: the inverse temperature.
    on_target: changes the similarities to the target classes (B, 1), where there is a margin.
    smoothing: the target is 1 − smoothing for the target class and smoothing / (C − 1) for each
        other one. One class alone is never smoothed.

    An empty batch gives 0.
    """
    batch, classes = similarity.shape
    # Over all C classes, as torch counts, it is this much.
    everywhere = smoothing * classes / (classes - 1) if classes > 1 else 0.0
    if devices.reads_wait(similarity.device) and everywhere <= 1:
        # There every operation costs its launch, so two fused ones beat fewer passes.
        logits = _Logits.apply(similarity, labels.unsqueeze(1), scale, on_target)
        total = nn.functional.cross_entropy(
            logits, labels, reduction="sum", label_smoothing=everywhere
        )
        return total / max(batch, 1)
    index = labels.unsqueeze(1)  # (B, 1)
    each_other = smoothing / (classes - 1) if classes > 1 else 0.0
    expected = 1 - classes * each_other  # of the target class, beyond what each class has
    with torch.no_grad():
        changed, slope = similarity.gather(1, index), None  # (B, 1)
        if on_target is not None:
            changed, slope = on_target(changed)
        target_logits = changed * scale
        logits = (similarity.detach() * scale).scatter_(1, index, target_logits)  # (B, C)
        total, gradient = log_sum_exp(logits)  # (B, 1), (B, C)
        cost = total - target_logits * expected
        if each_other:
            cost -= logits.sum(1, keepdim=True) * each_other
            gradient.sub_(each_other)
        gradient.scatter_add_(1, index, torch.full_like(cost, -expected))
        if slope is not None:
            gradient.scatter_(1, index, gradient.gather(1, index).mul_(slope))
        gradient.mul_(scale / max(batch, 1))
        value = cost.sum() / max(batch, 1)
    return precomputed_gradient(value, (similarity, gradient))


class _Logits(Function):
    """scale · similarity (B, C), those to the target classes in `index` (B, 1) changed before."""

    @staticmethod
    def forward(
        ctx, similarity: Tensor, index: Tensor, scale: float, on_target: OnTarget | None
    ) -> Tensor:
        ctx.scale, ctx.index, ctx.slope = scale, index, None
        logits = similarity * scale
        if on_target is None:
            return logits
        changed, ctx.slope = on_target(similarity.gather(1, index))
        return logits.scatter_(1, index, changed * scale)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        along = grad * ctx.scale
        if ctx.slope is not None:
            along.scatter_(1, ctx.index, along.gather(1, ctx.index).mul_(ctx.slope))
        return along, None, None, None
