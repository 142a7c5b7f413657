"""The checks that `dmlbench.testing.check_combiner` makes, each a function of the combiner.

B batch, D dimension of the evaluated embedding, M losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dmlbench.conformance.combiner_bench import CLASSES, PER_CLASS, Bench
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

LOSSES, DIM = 3, 16
BATCH = CLASSES * PER_CLASS


class CombinerSubject:
    """A combiner under test: builds fresh ones, the same each time."""

    def __init__(self, factory: Any, params: dict[str, Any]):
        self.factory, self.params = factory, params

    def bench(self, num_losses: int = LOSSES, dim_budget: str = "total", seed: int = 0) -> Bench:
        head_dims = self.factory.head_dims(DIM, num_losses, dim_budget)
        offers = {"num_losses": num_losses, "head_dims": head_dims, "embedding_dim": DIM}
        combiner = build_seeded(self.factory, self.params, seed, **offers)
        return Bench(combiner, head_dims, num_losses)


def _scalar(subject: CombinerSubject) -> None:
    subject.bench().step()


def _gradient(subject: CombinerSubject) -> None:
    bench = subject.bench()
    bench.step()
    weights = bench.combiner.weights() if bench.combiner.sees_gradients else None
    for name, value in bench.named_parameters():
        kind, _, index = name.partition(".")
        # A weight made of the gradients may be 0 for a batch; it has said so.
        unweighted = kind == "proxies" and weights is not None and weights[int(index)] == 0
        if kind == "combiner" or unweighted:
            continue
        if value.grad is None or not value.grad.any():
            what = "the shared features" if name == "features" else name
            raise Broken(f"no gradient reaches {what}, of a batch with much to learn")


def _own_parameters(subject: CombinerSubject) -> None:
    bench = subject.bench()
    auxiliary = bench.combiner.auxiliary
    apart = set(auxiliary.parameters()) if auxiliary is not None else set()
    own = {n: p for n, p in bench.combiner.named_parameters() if p not in apart}
    if not own:
        raise Skip("it has no parameters of its own")
    bench.train_steps(3)
    for name, value in own.items():
        if value.requires_grad and value.grad is None:
            raise Broken(f"no gradient reaches its parameter {name}")


def _number_of_losses(subject: CombinerSubject) -> None:
    for number in (1, 2, 5):
        try:
            bench = subject.bench(number)
        except ValueError as error:
            if not subject.params:
                raise
            raise Skip(f"its parameters are for {LOSSES} losses: {error}") from error
        bench.train_steps(2)
        _check_weights(bench, number)


def _zero_losses(subject: CombinerSubject) -> None:
    for dead in ([0], range(LOSSES)):
        bench = subject.bench()
        alive = bench.scales.clone()
        for epoch in range(3):
            bench.scales.copy_(alive)
            if epoch != 1:
                bench.scales[list(dead)] = 0  # a batch may have nothing to learn from
            bench.train_steps(2)
            bench.combiner.end_epoch()
            check_finite("the evaluated embedding", bench.evaluated())
            _check_weights(bench, LOSSES)


def _sizes_of_losses(subject: CombinerSubject) -> None:
    for factor in (1e-6, 1e4):
        bench = subject.bench()
        bench.scales *= factor
        bench.train_steps(3)
        bench.combiner.end_epoch()
        _check_weights(bench, LOSSES)


def _embedding_dimension(subject: CombinerSubject) -> None:
    for number in (1, LOSSES):
        try:
            bench = subject.bench(number)
        except ValueError:
            continue  # parameters for another number of losses
        shape = tuple(bench.evaluated().shape)
        if shape != (BATCH, DIM):
            raise Broken(
                f"the evaluated embedding of {number} losses has the shape {shape} under a budget "
                f"of {DIM} for a batch of {BATCH}"
            )
    subject.bench(dim_budget="per-loss").evaluated()


def _embeds_row_by_row(subject: CombinerSubject) -> None:
    bench = subject.bench()
    bench.train_steps(2)
    whole, half = bench.evaluated(), BATCH // 2
    check_finite("the evaluated embedding", whole)
    parts = torch.cat([bench.evaluated(slice(half)), bench.evaluated(slice(half, None))])
    check_close("an embedding changes with the rest of its batch", parts, whole, 1e-5)


def _embedding_leaves_state(subject: CombinerSubject) -> None:
    bench = subject.bench()
    bench.train_steps(2)
    before, states = _copy(bench.combiner), random_states()
    bench.evaluated()
    moved = moved_since(states)
    if moved:
        raise Broken(f"embed moved the global random state of {' and '.join(moved)}")
    for name, value in bench.combiner.state_dict().items():
        if not torch.equal(value, before[name]):
            raise Broken(f"embed changed {name}")


def _weights(subject: CombinerSubject) -> None:
    bench = subject.bench()
    _check_weights(bench, LOSSES)
    if bench.combiner.weights() is None:
        raise Skip("it has no weights")
    bench.train_steps(5)
    bench.combiner.end_epoch()
    _check_weights(bench, LOSSES)


def _check_weights(bench: Bench, number: int) -> None:
    weights = bench.combiner.weights()
    if weights is None:
        return
    if weights.shape != (number,):
        raise Broken(f"the weights of {number} losses have the shape {tuple(weights.shape)}")
    if weights.requires_grad:
        raise Broken("the weights are not detached")
    check_finite("one of the weights", weights)


def _inputs_unchanged(subject: CombinerSubject) -> None:
    bench = subject.bench()
    heads = [head.detach() for head in bench.embeddings(bench.features)]
    losses = bench.losses(heads).detach()
    given, given_heads = losses.clone(), [head.clone() for head in heads]
    bench.combiner(given, given_heads)
    bench.combiner.embed(given_heads)
    if not torch.equal(given, losses):
        raise Broken("the losses were changed in place")
    if not all(map(torch.equal, given_heads, heads)):
        raise Broken("the heads were changed in place")


def _repeatable(subject: CombinerSubject) -> None:
    runs = []
    for _ in range(2):
        bench = subject.bench()
        torch.manual_seed(7)
        runs.append(bench.train_steps(5)[-1])
    check_close("two runs from the same seeds differ", runs[1], runs[0], 1e-6)


def _state_dict(subject: CombinerSubject) -> None:
    first, second = subject.bench(seed=0), subject.bench(seed=1)
    for epoch in range(3):
        first.train_steps(2 + epoch)
        first.combiner.end_epoch()
    second.load_state_dict(_copy(first))
    for bench in (first, second):
        torch.manual_seed(7)
        bench.value = bench.step()
        bench.combiner.end_epoch()
    check_close("the objective after load_state_dict", second.value, first.value, 1e-6)
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        if one.grad is not None:
            check_close(f"the gradient on {name} after load_state_dict", other.grad, one.grad, 1e-5)
    check_close("embed after load_state_dict", second.evaluated(), first.evaluated(), 1e-6)


def _moves_with_to(subject: CombinerSubject) -> None:
    bench = subject.bench()
    check_registered(bench.combiner)
    bench.train_steps(2)
    bench.combiner.end_epoch()
    check_moves(bench.combiner)


def _auxiliary(subject: CombinerSubject) -> None:
    bench = subject.bench()
    auxiliary = bench.combiner.auxiliary
    if auxiliary is None:
        raise Skip("it has no modules with an optimiser of their own")
    optimizer = torch.optim.Adam(auxiliary.parameters(), lr=0.01)
    own = set(auxiliary.parameters())
    values = []
    for _ in range(20):
        heads = [head.detach() for head in bench.embeddings(bench.features)]
        value = bench.combiner.auxiliary_loss(heads)
        check_scalar(value, "auxiliary_loss")
        bench.zero_grad()
        value.backward()
        for name, parameter in bench.named_parameters():
            if parameter not in own and parameter.grad is not None:
                raise Broken(f"auxiliary_loss has a gradient on {name}, which it does not train")
        optimizer.step()
        values.append(value.item())
    if not values[-1] < values[0]:
        raise Broken(f"20 steps took auxiliary_loss from {values[0]:.4g} to {values[-1]:.4g}")


def _smoke_training(subject: CombinerSubject) -> None:
    bench = subject.bench()
    torch.manual_seed(0)
    values = bench.train_steps(20)
    first, last = values[0], values[-1]
    if not (last / first).mean() < 1:
        raise Broken(f"20 steps of training took the losses from {_show(first)} to {_show(last)}")


def _moves_to_cuda(subject: CombinerSubject) -> None:
    need_cuda()
    bench = subject.bench().cuda()
    bench.train_steps(2)
    bench.combiner.end_epoch()
    bench.evaluated()


def _cuda_agrees_with_cpu(subject: CombinerSubject) -> None:
    need_cuda()
    here, there = subject.bench(), subject.bench().cuda()
    for bench in (here, there):
        torch.manual_seed(7)
        bench.value = bench.step()
    check_close("the objective on CUDA and on the CPU", there.value.cpu(), here.value, 1e-3)
    slope, expected = there.features.grad.cpu(), here.features.grad
    check_close("the gradient on CUDA and on the CPU", slope, expected, 1e-3)


def _copy(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _show(values: Tensor) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values.tolist()) + ")"


COMBINER_CHECKS: Mapping[str, Callable[[CombinerSubject], None]] = {
    "scalar": _scalar,
    "gradient": _gradient,
    "own-parameters": _own_parameters,
    "number-of-losses": _number_of_losses,
    "zero-losses": _zero_losses,
    "sizes-of-losses": _sizes_of_losses,
    "embedding-dimension": _embedding_dimension,
    "embeds-row-by-row": _embeds_row_by_row,
    "embedding-leaves-state": _embedding_leaves_state,
    "weights": _weights,
    "inputs-unchanged": _inputs_unchanged,
    "repeatable": _repeatable,
    "moves-with-to": _moves_with_to,
    "state-dict": _state_dict,
    "auxiliary": _auxiliary,
    "smoke-training": _smoke_training,
    "moves-to-cuda": _moves_to_cuda,
    "cuda-agrees-with-cpu": _cuda_agrees_with_cpu,
}
