"""Each balancing combiner shows the defining property of its paper."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dmlbench.combiners.dynamic_average import DynamicWeightAverage
from dmlbench.combiners.gradnorm import GradNorm
from dmlbench.combiners.mgda import MgdaUb, min_norm_weights
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.combiners.random_weighting import RandomWeighting
from dmlbench.combiners.uncertainty import UncertaintyWeighting


def test_uncertainty_of_a_constant_loss_settles_at_its_value():
    """d/ds (l e^{-s} + s) / 2 = 0 at s = log l."""
    combiner = UncertaintyWeighting(3)
    losses = torch.tensor([0.1, 1.0, 20.0])
    optimizer = torch.optim.Adam(combiner.parameters(), lr=0.05)
    for _ in range(800):
        optimizer.zero_grad()
        combiner(losses, []).backward()
        optimizer.step()
    torch.testing.assert_close(combiner.weights(), 0.5 / losses, rtol=1e-3, atol=0)


def test_dwa_weights_are_the_papers():
    combiner = DynamicWeightAverage(2, temperature=2.0)
    means = []
    for epoch in ([[4.0, 1.0], [2.0, 3.0]], [[1.0, 2.0], [2.0, 1.0]], [[9.0, 9.0]]):
        # In epoch t the weights come from the means of the two epochs before.
        expected = np.ones(2)
        if len(means) >= 2:
            rates = np.array(means[-1]) / np.array(means[-2])
            expected = 2 * np.exp(rates / 2) / np.exp(rates / 2).sum()
        for batch in epoch:
            value = combiner(torch.tensor(batch, dtype=torch.float64), [])
            assert value.item() == pytest.approx(np.dot(expected, batch), rel=1e-6)
        combiner.end_epoch()
        means.append(np.mean(epoch, axis=0))


def test_dwa_with_a_loss_of_zero_is_finite():
    combiner = DynamicWeightAverage(2)
    for _ in range(4):
        combiner(torch.tensor([0.0, 1.0]), [])
        combiner.end_epoch()
    assert combiner.weights().tolist() == [1.0, 1.0]


def test_rlw_draws_new_weights_on_the_simplex_from_the_seed():
    combiner = RandomWeighting(3)
    basis = torch.eye(3)

    def draws():
        torch.manual_seed(3)
        return [combiner(torch.tensor([1.0, 10.0, 100.0]), []).item() for _ in range(3)]

    assert draws() == draws() and len(set(draws())) == 3
    torch.manual_seed(3)
    weights = torch.randn(3).softmax(0)
    torch.manual_seed(3)
    assert combiner(basis[0], []).item() == pytest.approx(weights[0].item())


def test_gradnorm_norms_converge_to_the_target_ratio():
    """Two losses with gradients 1 and 100 times a direction, both training at the same rate."""
    combiner = GradNorm(2, asymmetry=1.5)
    optimizer = torch.optim.Adam(combiner.parameters(), lr=0.01)
    gradients = torch.zeros(2, 4, 3)
    gradients[0, 0, 0], gradients[1, 1, 1] = 1.0, 100.0
    losses = torch.tensor([2.0, 2.0])
    for step in range(600):
        # The weight of the second ends at 0.02; a step must become small beside that.
        optimizer.param_groups[0]["lr"] = 0.01 * 0.98 ** max(0, step - 300)
        optimizer.zero_grad()
        combiner.see_gradients(gradients, losses)
        optimizer.step()
    norms = combiner.weights() * gradients.flatten(1).norm(dim=1)
    assert norms[0].item() == pytest.approx(norms[1].item(), rel=0.02)
    assert combiner.weights().sum().item() == pytest.approx(2.0, rel=1e-5)


def test_gradnorm_gives_a_loss_that_trains_slowly_the_larger_norm():
    combiner = GradNorm(2, asymmetry=1.0)
    optimizer = torch.optim.Adam(combiner.parameters(), lr=0.01)
    gradients = torch.ones(2, 4, 3)
    combiner.see_gradients(gradients, torch.tensor([1.0, 1.0]))
    losses = torch.tensor([0.9, 0.3])  # r = 1.5, 0.5: the ratio of norms is 3
    for _ in range(600):
        optimizer.zero_grad()
        combiner.see_gradients(gradients, losses)
        optimizer.step()
    first, second = combiner.weights().tolist()
    assert first / second == pytest.approx(3.0, rel=0.1)


def conflicting(seed, losses=3):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(1, 4, 2))
    signs = np.where(np.arange(losses) % 2, -1, 1)[:, None, None]
    return torch.tensor(signs * common + rng.normal(size=(losses, 4, 2)))


@pytest.mark.parametrize("seed", range(5))
def test_pcgrad_of_two_leaves_no_conflict_and_is_the_formula(seed):
    gradients = conflicting(seed, losses=2)
    one, other = gradients.flatten(1).numpy()
    combined = PCGrad(2).combine_gradients(gradients, torch.ones(2)).flatten().numpy()
    dot = one @ other
    expected = (one + other) / 2
    if dot < 0:
        expected = (one - dot / (other @ other) * other + other - dot / (one @ one) * one) / 2
    np.testing.assert_allclose(combined, expected, rtol=1e-9)
    assert combined @ one >= -1e-9 and combined @ other >= -1e-9


@pytest.mark.parametrize("seed", range(5))
def test_pcgrad_of_many_is_the_papers_algorithm(seed):
    """Line by line, in the orders that the same seed draws."""
    gradients = conflicting(seed, losses=4)
    torch.manual_seed(seed)
    orders = [torch.randperm(4).tolist() for _ in range(4)]
    originals = gradients.flatten(1).numpy()
    projected = []
    for i, order in enumerate(orders):
        own = originals[i].copy()
        for j in order:
            if j != i and own @ originals[j] < 0:
                own = own - (own @ originals[j]) / (originals[j] @ originals[j]) * originals[j]
        # What was projected last is not in conflict any more.
        last = [j for j in order if j != i][-1]
        assert own @ originals[last] >= -1e-9
        projected.append(own)
    torch.manual_seed(seed)
    combined = PCGrad(4).combine_gradients(gradients, torch.ones(4)).flatten().numpy()
    np.testing.assert_allclose(combined, np.mean(projected, axis=0), rtol=1e-9)
    assert not np.allclose(combined, originals.mean(axis=0))


def test_pcgrad_leaves_gradients_alone_that_agree():
    gradients = torch.rand(3, 4, 2, dtype=torch.float64)
    combined = PCGrad(3).combine_gradients(gradients, torch.ones(3))
    torch.testing.assert_close(combined, gradients.mean(0))


def test_pcgrad_of_a_zero_gradient_is_finite():
    gradients = conflicting(0, losses=3)
    gradients[1] = 0
    assert PCGrad(3).combine_gradients(gradients, torch.ones(3)).isfinite().all()


@pytest.mark.parametrize("losses, seed", [*itertools.product([2, 3, 5], range(4))])
def test_mgda_finds_the_min_norm_point(losses, seed):
    """No point of a fine random sample of the simplex is nearer to zero, nor is any vertex."""
    gradients = conflicting(seed, losses).flatten(1).numpy()
    products = gradients @ gradients.T
    weights = min_norm_weights(products)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1)
    point = weights @ gradients
    # The optimality condition: every gradient lies on the far side of the point.
    assert (gradients @ point >= point @ point - 1e-9).all()
    sample = np.random.default_rng(seed).dirichlet(np.ones(losses), 2000)
    assert np.linalg.norm(point) <= np.linalg.norm(sample @ gradients, axis=1).min() + 1e-12


def test_mgda_two_losses_in_closed_form():
    one, other = np.array([2.0, 0.0]), np.array([-1.0, 1.0])
    gradients = torch.tensor(np.stack([one, other]))[:, None]
    combiner = MgdaUb(2)
    combiner.see_gradients(gradients, torch.ones(2))
    share = np.clip((other - one) @ other / ((one - other) @ (one - other)), 0, 1)
    np.testing.assert_allclose(combiner.weights(), [share, 1 - share], rtol=1e-5)
    assert combiner(torch.tensor([3.0, 5.0]), []).item() == pytest.approx(5 - 2 * share)


def test_mgda_of_gradients_of_one_length_scales_the_losses_by_its_weights_alone():
    """As the authors' code does: what each gradient was divided by does not scale its loss."""
    gradients = conflicting(0)
    combiner = MgdaUb(3, normalise="l2")
    combiner.see_gradients(gradients, torch.ones(3))
    flat = gradients.flatten(1).numpy()
    unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    np.testing.assert_allclose(combiner.weights(), min_norm_weights(unit @ unit.T), rtol=1e-4)
    assert combiner(torch.ones(3), []).item() == pytest.approx(1)
    before = combiner.weights().clone()
    gradients[0] *= 1e-6
    combiner.see_gradients(gradients, torch.ones(3))
    torch.testing.assert_close(combiner.weights(), before)
    gradients[0] = 0  # no direction lowers a loss that has no gradient
    combiner.see_gradients(gradients, torch.ones(3))
    assert combiner.weights().tolist() == pytest.approx([1, 0, 0])


def test_mgda_of_vanished_and_of_opposed_gradients():
    combiner = MgdaUb(2)
    combiner.see_gradients(torch.zeros(2, 3, 2), torch.ones(2))
    assert combiner.weights().tolist() == pytest.approx([0.5, 0.5])
    opposed = torch.stack([torch.ones(3, 2), -3 * torch.ones(3, 2)])
    combiner.see_gradients(opposed, torch.ones(2))
    assert combiner.weights().tolist() == pytest.approx([0.75, 0.25])
    opposed[1] /= 3
    combiner.see_gradients(opposed, torch.ones(2))
    assert combiner.weights().tolist() == pytest.approx([0.5, 0.5])
