"""Combiners on a device: the numbers of the CPU, and nothing that a step would wait for."""

import importlib

import numpy as np
import pytest
import torch
from simulated_device import moved, on_device, read

from dmlbench.combiners import COMBINERS
from dmlbench.combiners.mgda import min_norm_on_device, min_norm_weights

M, B, D = 3, 6, 4


def build(spec):
    module, _, attribute = spec.target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    offers = {"embedding_dim": D, "head_dims": [D] * M}
    asked = found.__init__.__code__.co_varnames
    torch.manual_seed(0)
    return found(
        num_losses=M,
        **{name: value for name, value in offers.items() if name in asked},
        **getattr(found, "check_params", {}),
    )


def steps(combiner, place):
    """What two steps give: objective, gradients of losses and heads, embedding, combined."""
    out = []
    combiner.train()
    for turn in range(2):
        generator = torch.Generator().manual_seed(turn)
        torch.manual_seed(turn)
        losses = place(torch.rand(M, generator=generator) + 0.5).requires_grad_()
        count = M if combiner.heads == "per-loss" else 1
        drawn = [torch.randn(B, D, generator=generator) for _ in range(count)]
        heads = [place(torch.nn.functional.normalize(head)).requires_grad_() for head in drawn]
        gradients = place(torch.randn(M, B, D, generator=generator))
        if combiner.sees_gradients:
            combiner.see_gradients(gradients, losses.detach())
        combiner(losses, heads).backward()
        out += [losses.grad, *(head.grad for head in heads if head.grad is not None)]
        if combiner.combines_gradients:
            out.append(combiner.combine_gradients(gradients, losses.detach()))
        out.append(combiner.embed([head.detach() for head in heads]))
        auxiliary = combiner.auxiliary_loss([head.detach() for head in heads])
        out += [] if auxiliary is None else [auxiliary]
    combiner.end_epoch()
    return out


@pytest.mark.parametrize("spec", COMBINERS, ids=lambda spec: spec.name)
def test_a_combiner_waits_for_nothing_and_gives_the_numbers_of_the_cpu(spec, simulated_device):
    expected = steps(build(spec), lambda values: values)
    found = steps(moved(build(spec)), on_device)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(read(one), other.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["random", "opposite", "equal", "one of 0", "all 0"])
def test_the_point_of_least_norm_is_found_without_a_solver(count, kind):
    rng = np.random.default_rng(count)
    for _ in range(20):
        gradients = rng.normal(size=(count, 7)) * rng.uniform(0.1, 100, size=(count, 1))
        if kind == "opposite" and count > 1:
            gradients[1] = -3 * gradients[0]
        if kind == "equal":
            gradients[:] = gradients[0]
        if kind == "one of 0":
            gradients[-1] = 0
        if kind == "all 0":
            gradients[:] = 0
        products = gradients @ gradients.T
        expected = min_norm_weights(products)
        found = min_norm_on_device(torch.from_numpy(products)).numpy()
        assert found.min() >= 0 and found.sum() == pytest.approx(1)
        scale = max(np.trace(products), 1e-30)
        # Where gradients are alike, several weights give the same point.
        assert found @ products @ found == pytest.approx(
            expected @ products @ expected, abs=1e-9 * scale
        )


def test_gradients_that_are_not_finite_give_equal_weights():
    """On a device their losses are looked at later, and must fail the trial, not the search."""
    products = torch.tensor([[torch.nan, 1.0], [1.0, 2.0]], dtype=torch.float64)
    assert min_norm_on_device(products).tolist() == [0.5, 0.5]
    assert min_norm_weights(products.numpy()).tolist() == [0.5, 0.5]
