"""The self-weighting ensembles against plain NumPy formulas, and their nasty batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from dmlbench.combiners.equalised import EqualisedSum
from dmlbench.combiners.fixed import EqualSum, FixedWeights
from dmlbench.combiners.wedl import DiverseEnsemble
from dmlbench.combiners.wedl_c import CompressedEnsemble, distance_mismatch
from dmlbench.combiners.wel import WeightedEnsemble


def unit(*shape, seed=0):
    values = np.random.default_rng(seed).normal(size=shape)
    return torch.tensor(values / np.linalg.norm(values, axis=1, keepdims=True))


def oracle_wel(batches, roots, penalty=1e4):
    """Objective of the last batch by the paper's formulas; losses without zeros."""
    batches = np.array(batches, dtype=np.float64)
    means = batches.mean(axis=0)
    rescaled = means.mean() / means * batches[-1]
    weights = np.array(roots, dtype=np.float64) ** 2 + 1 / (4 * len(means))
    return (weights * rescaled).sum() + penalty * (weights.sum() - 1) ** 2


def test_wel_objective_is_the_papers():
    combiner = WeightedEnsemble(3)
    batches = [[1.0, 20.0, 0.3], [2.0, 10.0, 0.1], [0.5, 40.0, 0.2]]
    with torch.no_grad():
        combiner.roots.copy_(torch.tensor([0.5, 0.4, 0.6]))
    for batch in batches:
        value = combiner(torch.tensor(batch, dtype=torch.float64), [])
    expected = oracle_wel(batches, combiner.roots.detach().double().numpy())
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_wel_gradients_are_the_papers():
    """The means are constants: d/dl_j = w_j l̄ / l̄_j, and d/dc_j = 2 c_j (l̂_j + 2 η (Σw − 1))."""
    combiner = WeightedEnsemble(2, penalty=10.0)
    with torch.no_grad():
        combiner.roots.copy_(torch.tensor([0.5, 0.8]))
    losses = torch.tensor([2.0, 6.0], requires_grad=True)
    combiner(losses, []).backward()
    weights = np.array([0.25, 0.64]) + 1 / 8
    scales = 4.0 / np.array([2.0, 6.0])
    excess = weights.sum() - 1
    roots = np.array([0.5, 0.8])
    np.testing.assert_allclose(losses.grad, weights * scales, rtol=1e-6)
    expected = 2 * roots * (scales * [2.0, 6.0] + 2 * 10.0 * excess)
    np.testing.assert_allclose(combiner.roots.grad, expected, rtol=1e-5)


def test_rescaling_makes_units_irrelevant():
    one, other = WeightedEnsemble(2), WeightedEnsemble(2)
    for batch in ([1.0, 2.0], [3.0, 1.0]):
        a = one(torch.tensor(batch), [])
        b = other(torch.tensor([batch[0], 1000 * batch[1]]), [])
        # The common factor l̄ is all that changes.
        scale_a, scale_b = one.scales() * 1.0, other.scales() * torch.tensor([1.0, 1000.0])
        torch.testing.assert_close(scale_a / scale_a[0], scale_b / scale_b[0])
        assert a > 0 and b > 0


def test_rescaling_by_gradients_is_blind_to_constants_in_a_loss():
    gradients = torch.tensor([[[3.0, 4.0]], [[0.0, 10.0]]])  # norms 5 and 10
    values = []
    for constant in (0.0, 7.0):
        combiner = WeightedEnsemble(2, rescale="gradient")
        losses = torch.tensor([1.0 + constant, 2.0], requires_grad=True)
        combiner.see_gradients(gradients, losses.detach())
        combiner(losses, []).backward()
        values.append(losses.grad)
    np.testing.assert_allclose(values[0], [0.5 * 7.5 / 5, 0.5 * 7.5 / 10], rtol=1e-6)
    torch.testing.assert_close(values[0], values[1])


def test_without_rescaling_the_losses_count_as_they_are():
    losses = torch.tensor([1.0, 50.0], requires_grad=True)
    WeightedEnsemble(2, rescale="none")(losses, []).backward()
    np.testing.assert_allclose(losses.grad, [0.5, 0.5], rtol=1e-6)


def test_another_way_to_rescale_is_refused():
    with pytest.raises(ValueError, match="'mean', 'gradient' or 'none', not 'max'"):
        WeightedEnsemble(2, rescale="max")


def test_equalised_gradients_have_one_size_on_average():
    combiner = EqualisedSum(2)
    rng = np.random.default_rng(0)
    batches = rng.normal(size=(5, 2, 3, 4)) * np.array([1.0, 300.0])[:, None, None]
    for batch in batches:
        combiner.see_gradients(torch.tensor(batch), torch.ones(2))
    norms = np.sqrt((batches**2).sum((2, 3))).mean(0)  # (2,)
    np.testing.assert_allclose(combiner.weights(), norms.mean() / norms / 2, rtol=1e-12)
    value = combiner(torch.tensor([2.0, 5.0], dtype=torch.float64), [])
    assert value.item() == pytest.approx((norms.mean() / norms / 2) @ [2.0, 5.0])


@pytest.mark.parametrize(
    "prior, expected",
    [(None, [0.25] * 4), ([2, 1, 2, 3], [0.25, 0.125, 0.25, 0.375])],
    ids=["uniform", "the paper's 2:1:2:3"],
)
def test_weights_start_at_the_prior(prior, expected):
    weights = WeightedEnsemble(4, prior=prior).weights()
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_no_weight_falls_under_the_floor():
    combiner = WeightedEnsemble(4)
    with torch.no_grad():
        combiner.roots.zero_()
    np.testing.assert_allclose(combiner.weights(), [1 / 16] * 4)


@pytest.mark.parametrize(
    "prior, message",
    [
        ([1, 100], "under the floor"),
        ([1, 2, 3], "3 numbers for 2 losses"),
        ([1, 0], "must be positive"),
        ([1, float("nan")], "must be positive"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(prior, message):
    with pytest.raises(ValueError, match=message):
        WeightedEnsemble(2, prior=prior)


def test_the_weights_stay_near_the_simplex_and_move():
    torch.manual_seed(0)
    combiner = WeightedEnsemble(3)
    optimizer = torch.optim.AdamW(combiner.parameters(), lr=1e-3, weight_decay=0)
    for step in range(400):
        # The last loss falls below its running mean, the first rises above its own.
        losses = torch.tensor([1 + step / 100, 1.0, 1 / (1 + step / 20)])
        optimizer.zero_grad()
        combiner(losses, []).backward()
        optimizer.step()
    weights = combiner.weights()
    assert weights.sum().item() == pytest.approx(1, abs=5e-3)
    assert weights[2] > weights[1] > weights[0]
    assert weights.min() >= 1 / 12


def test_a_loss_of_zero_gives_neither_nan_nor_explosion():
    combiner = WeightedEnsemble(2)
    losses = torch.tensor([0.0, 3.0], requires_grad=True)
    for _ in range(1000):
        value = combiner(losses, [])
    value.backward()
    assert value.item() == pytest.approx(0.5 * 3.0, rel=1e-5)
    assert losses.grad.isfinite().all()
    # When it comes back, it counts as much as the other, not a thousand times as much.
    value = combiner(torch.tensor([7.0, 3.0]), [])
    assert value.item() < 2 * 7.0


def test_all_losses_zero():
    combiner = WeightedEnsemble(2)
    losses = torch.zeros(2, requires_grad=True)
    value = combiner(losses, [])
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert losses.grad.isfinite().all() and combiner.roots.grad.isfinite().all()


def test_evaluation_mode_leaves_the_running_means():
    combiner = WeightedEnsemble(2)
    combiner(torch.tensor([1.0, 2.0]), [])
    before = {k: v.clone() for k, v in combiner.state_dict().items()}
    combiner.eval()(torch.tensor([5.0, 9.0]), [])
    for key, value in combiner.state_dict().items():
        torch.testing.assert_close(value, before[key])


def test_wedl_adds_the_diversity_term():
    heads = [unit(5, 4, seed=s) for s in range(3)]
    losses = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    with_term = DiverseEnsemble(3, diversity=0.1)(losses, heads)
    without = DiverseEnsemble(3, diversity=0.0)(losses, heads)
    distances = [
        np.linalg.norm(heads[i].numpy() - heads[j].numpy(), axis=1)
        for i, j in itertools.combinations(range(3), 2)
    ]
    expected = 0.1 * max(0.0, 2 - np.mean(distances))
    assert (with_term - without).item() == pytest.approx(expected, rel=1e-6)


def test_wedl_pads_a_narrower_head_with_zeros():
    wide, narrow = unit(5, 4), unit(5, 3, seed=1)
    padded = np.concatenate([narrow.numpy(), np.zeros((5, 1))], axis=1)
    combiner = DiverseEnsemble(2, diversity=1.0, penalty=0.0)
    value = combiner(torch.zeros(2, dtype=torch.float64), [wide, narrow])
    expected = 2 - np.linalg.norm(wide.numpy() - padded, axis=1).mean()
    assert value.item() == pytest.approx(expected, rel=1e-6)


def test_wedl_of_equal_heads_has_a_finite_gradient():
    head = unit(6, 4).requires_grad_()
    DiverseEnsemble(2)(torch.ones(2, dtype=torch.float64), [head, head * 1.0]).backward()
    assert head.grad.isfinite().all()


def test_wedl_embedding_has_the_weighted_squared_distance():
    combiner = DiverseEnsemble(2)
    with torch.no_grad():
        combiner.roots.copy_(torch.tensor([0.3, 0.9]))
    heads = [unit(5, 4), unit(5, 3, seed=1)]
    embedded = combiner.embed(heads).detach().numpy()
    weights = combiner.weights().double().numpy()
    assert embedded.shape == (5, 7)
    squared = sum(
        w * ((h.numpy()[:, None] - h.numpy()[None]) ** 2).sum(-1)
        for w, h in zip(weights, heads, strict=True)
    )
    own = ((embedded[:, None] - embedded[None]) ** 2).sum(-1)
    np.testing.assert_allclose(own, squared, rtol=1e-6)


def test_wedl_c_mismatch_is_the_formula():
    first, second = unit(6, 5).numpy(), unit(6, 3, seed=1).numpy()

    def squared(x):
        return ((x[:, None] - x[None]) ** 2).sum(-1)

    d1, d2 = squared(first), squared(second)
    expected = np.sqrt(((d1 / d1.sum() - d2 / d2.sum()) ** 2).sum()) * 36
    value = distance_mismatch(torch.tensor(first), torch.tensor(second))
    assert value.item() == pytest.approx(expected, rel=1e-9)
    assert distance_mismatch(torch.tensor(first), torch.tensor(3 * first)).item() < 1e-5


def test_wedl_c_of_a_collapsed_batch_is_finite():
    combiner = CompressedEnsemble(2, embedding_dim=4, head_dims=[4, 4])
    head = torch.ones(5, 4) / 2
    value = combiner.auxiliary_loss([head, head])
    value.backward()
    assert value.isfinite()
    assert all(p.grad.isfinite().all() for p in combiner.auxiliary.parameters())


def test_wedl_c_learns_the_distances_and_touches_nothing_else():
    torch.manual_seed(0)
    combiner = CompressedEnsemble(2, embedding_dim=8, head_dims=[8, 8])
    heads = [unit(32, 8).float().requires_grad_(), unit(32, 8, seed=1).float().requires_grad_()]
    optimizer = torch.optim.Adam(combiner.auxiliary.parameters(), lr=1e-2)
    values = []
    for _ in range(150):
        value = combiner.auxiliary_loss([h.detach() for h in heads])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
    assert combiner.roots.grad is None and heads[0].grad is None
    embedded = combiner.embed(heads)
    assert embedded.shape == (32, 8)
    torch.testing.assert_close(embedded.norm(dim=1), torch.ones(32))


def test_the_authors_compressor_is_theirs():
    """Linear(M·D, 2D), tanh, Linear(2D, 2D), not normalised, on detached embeddings."""
    torch.manual_seed(0)
    combiner = CompressedEnsemble(3, 4, [4, 4, 4], compressor="authors")
    heads = [unit(6, 4, seed=s).float() for s in range(3)]
    first, last = combiner.auxiliary[0], combiner.auxiliary[2]
    assert first.weight.shape == (8, 12) and last.weight.shape == (8, 8)
    wide = DiverseEnsemble.embed(combiner, heads)
    own = torch.tanh(wide @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(combiner.embed(heads), own)
    assert (own.norm(dim=1) - 1).abs().min() > 1e-3
    shares = [torch.cdist(x, x).square() for x in (own, wide.detach())]
    expected = torch.linalg.norm(shares[0] / shares[0].sum() - shares[1] / shares[1].sum()) * 36
    torch.testing.assert_close(combiner.auxiliary_loss(heads), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="'narrow' or 'authors', not 'mine'"):
        CompressedEnsemble(3, 4, [4, 4, 4], compressor="mine")


def test_heads_share_the_total_dimension_or_have_it_each():
    assert DiverseEnsemble.head_dims(64, 3, "total") == [22, 21, 21]
    assert DiverseEnsemble.head_dims(64, 3, "per-loss") == [64, 64, 64]
    assert CompressedEnsemble.head_dims(64, 3, "total") == [64, 64, 64]
    assert WeightedEnsemble.head_dims(64, 3, "per-loss") == [64]
    with pytest.raises(ValueError, match=r"2 dimensions .* 3 heads"):
        DiverseEnsemble.head_dims(2, 3, "total")


def test_fixed_weights():
    losses = torch.tensor([1.0, 10.0])
    assert EqualSum(2)(losses, []).item() == 5.5
    assert FixedWeights(2, weights=[2, 0.1])(losses, []).item() == pytest.approx(3.0)
    assert EqualSum(2).weights().tolist() == [0.5, 0.5]
    refused = {"must be given": None, "1 numbers for 2": [1], "negative": [-1, 2], "zero": [0, 0]}
    for message, weights in refused.items():
        with pytest.raises(ValueError, match=message):
            FixedWeights(2, weights=weights)
