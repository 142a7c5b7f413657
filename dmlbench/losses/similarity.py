"""The cosine matrix of a batch, computed once for all losses that look at the same embeddings.

Shapes: B anchors, N references (the batch itself, or a memory), D dimension.
"""

from __future__ import annotations

import weakref
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dmlbench.data import devices

_NORM_FLOOR = 1e-12  # torch.nn.functional.normalize's own


class LastResult:
    """Remembers what was last made from a tensor, for as long as someone else holds it.

    Both sides are weak references: nothing is kept alive, except a copy of the tensor while what
    was made from it lives. The copy is compared on the way out, since a tensor may be written to
    behind autograd's back (through ``tensor.data``, as `torch.autograd.gradcheck` does); copying
    and comparing read B x D numbers, where a B x B x D product is saved. Threads may share one:
    an entry is replaced as a whole, and at worst another thread's is forgotten.

    On a device a comparison would wait for all that is queued there: its version tells alone
    whether a tensor was written to, and nothing is remembered of one in inference mode, which has
    none. There, do not write to ``tensor.data`` between two losses of one batch.
    """

    def __init__(self) -> None:
        self._entry: tuple[Any, ...] | None = None

    def get(self, source: Tensor) -> Any:
        """What was made from `source` as it is now, in this autograd mode; or None."""
        entry = self._entry
        if entry is None:
            return None
        reference, state, content, made = entry
        found = made() if reference() is source and state == self._state(source) else None
        if found is None or content is None:
            return found
        return found if torch.equal(content, source) else None

    def put(self, source: Tensor, made: Any) -> None:
        """Remember that `made` came from `source`."""
        content = None
        if not devices.reads_wait(source.device):
            content = source.detach().clone()
        elif source.is_inference():
            return
        watched = weakref.ref(made, self._forget)
        self._entry = (weakref.ref(source), self._state(source), content, watched)

    def _forget(self, watched: weakref.ref) -> None:
        if self._entry is not None and self._entry[3] is watched:
            self._entry = None

    @staticmethod
    def _state(source: Tensor) -> tuple[Any, ...]:
        # Equal numbers written in place may come from another graph.
        version = None if source.is_inference() else source._version
        graph = source.requires_grad, torch.is_grad_enabled(), version
        return source.dtype, source.device, *graph


_last_cosines = LastResult()


class CosineMatrix:
    """Cosines between anchors and references.

    matrix: (B, N), part of the autograd graph.
    anchor_squares, reference_squares: (B, 1) and (1, N), squared norms after normalising: 1, or 0
        for a zero embedding. Constants.
    """

    def __init__(self, embeddings: Tensor, memory: Tensor | None = None) -> None:
        # Half precision has no room for a cosine near 1: the product is always at least float32.
        exact = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
        self.embeddings, self.memory = exact, memory
        self.dim = exact.shape[1]
        if memory is None:
            self.matrix = _SelfCosines.apply(exact)
            # The diagonal comes from the same product, so an exact duplicate has a distance
            # of exactly (or very nearly) zero.
            squares = self.matrix.detach().diagonal().contiguous()
            self.anchor_squares, self.reference_squares = squares[:, None], squares[None, :]
        else:
            units = _normalise(memory.detach().to(exact.dtype))[0]
            self.matrix = _MemoryCosines.apply(exact, units)
            anchor_units = _normalise(exact.detach())[0]
            self.anchor_squares = anchor_units.square().sum(1, keepdim=True)
            self.reference_squares = units.square().sum(1)[None, :]

    def norms(self) -> Tensor:
        """(B,) lengths of the embeddings as they came, in the graph."""
        return torch.linalg.vector_norm(self.embeddings, dim=1)

    def means(self) -> tuple[Tensor, Tensor]:
        """(B,) and (N,) means over the components of normalised anchors and references.

        In the graph, except a memory's.
        """
        anchors = nn.functional.normalize(self.embeddings).mean(1)
        if self.memory is None:
            return anchors, anchors
        memory = self.memory.detach().to(anchors.dtype)
        return anchors, nn.functional.normalize(memory).mean(1)


def cosines(embeddings: Tensor) -> CosineMatrix:
    """The cosine matrix of `embeddings` (B, D) with itself: the one in use, if there is one."""
    found = _last_cosines.get(embeddings)
    if found is None:
        found = CosineMatrix(embeddings)
        _last_cosines.put(embeddings, found)
    return found


def without_autocast(device: torch.device):
    """A context in which autocast leaves matrix products alone."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def precomputed_gradient(value: Tensor, *inputs: tuple[Tensor, Tensor], keep: Any = None) -> Tensor:
    """Give `value` (a scalar) to autograd together with its gradients, worked out already.

    inputs: pairs of a tensor in the graph and d value / d tensor, of the same shape.
    keep: any object that is to live as long as the value's graph.
    """
    tensors = [tensor for tensor, _ in inputs]
    return _PrecomputedGradient.apply(value, [gradient for _, gradient in inputs], keep, *tensors)


class _PrecomputedGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, gradients, keep, *tensors):
        ctx.gradients, ctx.keep = gradients, keep
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        needed = ctx.needs_input_grad[3:]
        pairs = zip(ctx.gradients, needed, strict=True)
        return None, None, None, *(g * grad if need else None for g, need in pairs)


# The two functions below keep their tensors on ctx instead of in save_for_backward: several
# losses share one node, and may run backward one after the other.


class _SelfCosines(torch.autograd.Function):
    @staticmethod
    def forward(ctx, embeddings):
        ctx.units, ctx.norms = _normalise(embeddings)
        return ctx.units @ ctx.units.T  # (B, B)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        with without_autocast(grad.device):
            # Both sides of the product are the same matrix. A transposed copy and one product
            # cost half of two products; adding the transposed view itself would stride.
            pull = (grad + grad.T.contiguous()) @ ctx.units  # (B, D)
        return _through_normalise(pull, ctx.units, ctx.norms)


class _MemoryCosines(torch.autograd.Function):
    @staticmethod
    def forward(ctx, embeddings, memory_units):
        ctx.units, ctx.norms = _normalise(embeddings)
        ctx.memory_units = memory_units
        return ctx.units @ memory_units.T  # (B, N)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        with without_autocast(grad.device):
            pull = grad @ ctx.memory_units  # (B, D)
        return _through_normalise(pull, ctx.units, ctx.norms), None


def _normalise(rows: Tensor) -> tuple[Tensor, Tensor]:
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp_min_(_NORM_FLOOR)
    return rows / norms, norms


def _through_normalise(pull: Tensor, units: Tensor, norms: Tensor) -> Tensor:
    along = (units * pull).sum(1, keepdim=True)
    return torch.addcmul(pull, units, along, value=-1).div_(norms)
