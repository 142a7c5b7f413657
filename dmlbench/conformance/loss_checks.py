"""The checks that `dmlbench.testing.check_loss` makes, each a function of the loss under test.

B batch, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dmlbench.conformance.kit import (
    Broken,
    Skip,
    build_seeded,
    check_close,
    check_finite,
    check_moves,
    check_registered,
    check_scalar,
    need_cuda,
)
from dmlbench.training.random_states import moved_since, random_states

CLASSES, PER_CLASS, DIM, IMAGES = 6, 4, 16, 96


class LossSubject:
    """A loss under test: builds fresh ones, the same each time, and evaluates them."""

    def __init__(self, factory: Callable[..., nn.Module], params: dict[str, Any]):
        self.factory, self.params = factory, params

    def build(self, seed: int = 0) -> nn.Module:
        sizes = {"num_classes": CLASSES, "embedding_dim": DIM, "num_features": DIM}
        return build_seeded(self.factory, self.params, seed, num_images=IMAGES, **sizes)

    def evaluate(
        self, embeddings: Tensor, labels: Tensor, loss: nn.Module | None = None
    ) -> tuple[Tensor, Tensor]:
        """The value and the gradient (B, D) on the embeddings, both shown to be finite."""
        loss = self.build() if loss is None else loss
        embeddings = embeddings.detach().requires_grad_()
        value = loss(embeddings, labels)
        check_scalar(value, "the loss")
        value.backward()
        if embeddings.grad is None:
            raise Broken("the value is not connected to the embeddings: they get no gradient")
        gradients = {"the embeddings": embeddings.grad}
        gradients |= {n: p.grad for n, p in loss.named_parameters() if p.grad is not None}
        for name, gradient in gradients.items():
            check_finite(f"the gradient on {name}", gradient)
        return value.detach(), embeddings.grad


def _batch(labels: Tensor | None = None, dtype: torch.dtype = torch.float32):
    """Embeddings (B, D) of length 1, loosely grouped by class, and labels (B,) in mixed order."""
    generator = torch.Generator().manual_seed(0)
    if labels is None:
        # A class is absent, and sizes differ.
        sizes = torch.tensor([PER_CLASS + 2, *[PER_CLASS] * (CLASSES - 3), 2, 0])
        labels = torch.arange(CLASSES).repeat_interleave(sizes)
        labels = labels[torch.randperm(len(labels), generator=generator)]
    centres = torch.randn(CLASSES, DIM, generator=generator, dtype=torch.float64)
    noise = torch.randn(len(labels), DIM, generator=generator, dtype=torch.float64)
    return nn.functional.normalize(0.5 * centres[labels] + noise).to(dtype), labels


def _scalar(subject: LossSubject) -> None:
    value = subject.build()(*_batch())
    check_scalar(value, "the loss")


def _gradient(subject: LossSubject) -> None:
    _, gradient = subject.evaluate(*_batch())
    if not gradient.any():
        raise Broken("the gradient on the embeddings is 0 on a batch with much to learn")


def _finite_on(*labels: list[int], equal: bool = False) -> Callable[[LossSubject], None]:
    def check(subject: LossSubject) -> None:
        for some in labels:
            embeddings, given = _batch(torch.tensor(some))
            if equal:
                embeddings = embeddings[:1].repeat(len(embeddings), 1)
            subject.evaluate(embeddings, given)

    return check


def _dtype(dtype: torch.dtype, tolerance: float) -> Callable[[LossSubject], None]:
    def check(subject: LossSubject) -> None:
        embeddings, labels = _batch()
        value, gradient = subject.evaluate(embeddings, labels, subject.build().float())
        found, slope = subject.evaluate(embeddings.to(dtype), labels, subject.build().to(dtype))
        if slope.dtype != dtype:
            raise Broken(f"{dtype} embeddings get a gradient of the type {slope.dtype}")
        check_close(f"the value in {dtype} and in float32", found, value, tolerance)
        check_close(f"the gradient in {dtype} and in float32", slope, gradient, tolerance)

    return check


def _bfloat16_autocast(subject: LossSubject) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        embeddings, labels = _batch(dtype=dtype)
        embeddings.requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            value = subject.build()(embeddings, labels)
        check_scalar(value, "the loss")
        value.backward()
        if embeddings.grad is None or not embeddings.grad.isfinite().all():
            raise Broken(f"the gradient on {dtype} embeddings is missing or not finite")


def _batch_order(subject: LossSubject) -> None:
    embeddings, labels = _batch(dtype=torch.float64)
    value, gradient = subject.evaluate(embeddings, labels, subject.build().double())
    order = torch.arange(len(labels)).flip(0)
    also, slope = subject.evaluate(embeddings[order], labels[order], subject.build().double())
    check_close("the value changes with the order of the batch", also, value, 1e-6)
    check_close("the gradient changes with the order of the batch", slope[order], gradient, 1e-6)


def _non_contiguous(subject: LossSubject) -> None:
    embeddings, labels = _batch()
    strided = embeddings.T.contiguous().T
    twice = torch.stack([labels, labels], dim=1)[:, 0]
    value, gradient = subject.evaluate(embeddings, labels)
    also, slope = subject.evaluate(strided, twice)
    check_close("the value of a strided batch", also, value, 1e-5)
    check_close("the gradient of a strided batch", slope, gradient, 1e-5)


def _without_gradient(subject: LossSubject) -> None:
    embeddings, labels = _batch()
    value, _ = subject.evaluate(embeddings, labels)
    for context in (torch.no_grad(), torch.enable_grad()):
        with context:
            found = subject.build()(embeddings, labels)
        check_scalar(found, "the loss")
        check_close("the value without a gradient", found.detach(), value, 1e-5)


def _lengths(subject: LossSubject) -> None:
    """A loss that reads lengths stays finite; one that normalises does so whatever they are."""
    loss = subject.build()
    for labels in (None, torch.tensor([2] * 8)):
        embeddings, given = _batch(labels)
        if getattr(loss, "takes", "embeddings") != "embeddings":
            subject.evaluate(embeddings * _spread_lengths(len(given)), given)
    embeddings, labels = _batch(dtype=torch.float64)
    lengths = _spread_lengths(len(labels)).double()
    value, gradient = subject.evaluate(embeddings, labels, subject.build().double())
    also, slope = subject.evaluate(2 * embeddings, labels, subject.build().double())
    if not torch.allclose(also, value, rtol=1e-6):
        if getattr(loss, "takes", "embeddings") == "embeddings":
            raise Skip("it takes embeddings of length 1, and does not normalise them itself")
        return
    check_close("the gradient at twice the length", 2 * slope, gradient, 1e-5)
    also, slope = subject.evaluate(lengths * embeddings, labels, subject.build().double())
    check_close("the value at lengths from 0.1 to 30", also, value, 1e-5)
    check_close("the gradient at lengths from 0.1 to 30", lengths * slope, gradient, 1e-5)


def _spread_lengths(count: int) -> Tensor:
    """Lengths (B, 1) from 0.1 to 30, of a class's items as different as of others'."""
    lengths = torch.logspace(-1, 1.4772, count)
    return lengths[torch.randperm(count, generator=torch.Generator().manual_seed(1))][:, None]


def _inputs_unchanged(subject: LossSubject) -> None:
    embeddings, labels = _batch()
    given, given_labels = embeddings.clone(), labels.clone()
    subject.evaluate(given, given_labels)
    if not torch.equal(given, embeddings):
        raise Broken("the embeddings were changed in place")
    if not torch.equal(given_labels, labels):
        raise Broken("the labels were changed in place")


def _random_state(subject: LossSubject) -> None:
    loss = subject.build()
    before = random_states()
    subject.evaluate(*_batch(), loss)
    moved = moved_since(before)
    if moved:
        raise Broken(
            f"the global random state of {' and '.join(moved)} moved; use a generator of your own"
        )


def _state_dict(subject: LossSubject) -> None:
    loss, other = subject.build(seed=0), subject.build(seed=1)
    subject.evaluate(*_batch(), loss)  # a loss with a memory now has something to remember
    other.load_state_dict(loss.state_dict())
    value, gradient = subject.evaluate(*_batch(), loss)
    also, slope = subject.evaluate(*_batch(), other)
    check_close("the value after load_state_dict(state_dict())", also, value, 1e-6)
    check_close("the gradient after load_state_dict(state_dict())", slope, gradient, 1e-6)


def _finite_differences(subject: LossSubject) -> None:
    embeddings, labels = _batch(dtype=torch.float64)
    _, gradient = subject.evaluate(embeddings, labels, subject.build().double())
    step = 1e-6
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        direction = torch.randn(embeddings.shape, generator=generator, dtype=torch.float64)
        above, below = (
            subject.build().double()(embeddings + sign * step * direction, labels).detach()
            for sign in (1, -1)
        )
        slope, difference = (gradient * direction).sum(), (above - below) / (2 * step)
        check_close("the gradient against finite differences", slope, difference, 1e-3)


def _smoke_training(subject: LossSubject) -> None:
    embeddings, labels = _batch()
    loss = subject.build()
    embeddings.requires_grad_()
    optimizer = torch.optim.Adam([embeddings, *loss.parameters()], lr=0.02)
    values = []
    for _ in range(20):
        value = loss(nn.functional.normalize(embeddings), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    if not values[-1] < values[0]:
        raise Broken(f"20 steps of training took it from {values[0]:.4g} to {values[-1]:.4g}")


def _moves_with_to(subject: LossSubject) -> None:
    loss = subject.build()
    check_registered(loss)
    subject.evaluate(*_batch(), loss)  # a loss with a memory now has something to remember
    check_moves(loss)


def _moves_to_cuda(subject: LossSubject) -> None:
    need_cuda()
    embeddings, labels = _batch()
    subject.evaluate(embeddings.cuda(), labels.cuda(), subject.build().cuda())


def _cuda_agrees_with_cpu(subject: LossSubject) -> None:
    need_cuda()
    embeddings, labels = _batch()
    value, gradient = subject.evaluate(embeddings, labels)
    found, slope = subject.evaluate(embeddings.cuda(), labels.cuda(), subject.build().cuda())
    check_close("the value on CUDA and on the CPU", found.cpu(), value, 1e-3)
    check_close("the gradient on CUDA and on the CPU", slope.cpu(), gradient, 1e-3)


LOSS_CHECKS: Mapping[str, Callable[[LossSubject], None]] = {
    "scalar": _scalar,
    "gradient": _gradient,
    "batch-order": _batch_order,
    "no-positives": _finite_on([0, 1, 2, 3, 4, 5]),
    "one-class": _finite_on([2] * 8),
    "one-item": _finite_on([3]),
    "two-items": _finite_on([3, 3], [3, 1]),
    "all-equal": _finite_on([0, 0, 1, 1, 2, 2], equal=True),
    "float32": _dtype(torch.float32, 1e-6),
    "float64": _dtype(torch.float64, 1e-3),
    "bfloat16-autocast": _bfloat16_autocast,
    "lengths": _lengths,
    "non-contiguous": _non_contiguous,
    "without-gradient": _without_gradient,
    "inputs-unchanged": _inputs_unchanged,
    "random-state": _random_state,
    "moves-with-to": _moves_with_to,
    "state-dict": _state_dict,
    "finite-differences": _finite_differences,
    "smoke-training": _smoke_training,
    "moves-to-cuda": _moves_to_cuda,
    "cuda-agrees-with-cpu": _cuda_agrees_with_cpu,
}
