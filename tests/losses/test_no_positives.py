"""A batch without any positive, as random batches have them: each loss does what its page says.

Most have nothing to learn from, as in their authors' code: their value is 0, with a gradient of 0
that can be taken, so that an ensemble goes on. A few push negatives apart all the same.
"""

import math

import pytest
import torch

import dmlbench
from dmlbench.losses import LOSSES

#: Pairs of other classes count by themselves in these; in lifted-structure that is a deviation.
NEGATIVES_COUNT = {
    "contrastive": {}, "snr": {}, "binomial-deviance": {}, "multi-similarity": {"mining": False},
    "lifted-structure": {}, "cross-batch-memory": {"start": 0},
}  # fmt: skip
ZERO = {
    **{
        spec.name: {}
        for spec in LOSSES
        if spec.family not in ("proxy", "classification") and spec.name not in NEGATIVES_COUNT
    },
    "multi-similarity": {},
}
WITH_PROXIES = [spec.name for spec in LOSSES if spec.family in ("proxy", "classification")]
LABELS = torch.arange(8)


def value_and_gradient(name, params):
    """Of eight items of eight classes, in float64."""
    torch.manual_seed(0)
    loss = dmlbench.load_loss(name, num_classes=8, embedding_dim=10, **params).double()
    leaf = singles().requires_grad_()
    value = loss(leaf, LABELS)
    value.backward()
    return value.detach(), leaf.grad


def singles():
    generator = torch.Generator().manual_seed(3)
    # Near each other, so that negatives are within every margin.
    rows = torch.randn(8, 10, generator=generator, dtype=torch.float64) / 4 + 0.7
    return torch.nn.functional.normalize(rows, dim=1)


@pytest.mark.parametrize("name", ZERO)
def test_without_positives_there_is_nothing_to_learn_from(name):
    value, gradient = value_and_gradient(name, ZERO[name])
    assert value == 0 and not gradient.any()


@pytest.mark.parametrize("name", NEGATIVES_COUNT)
def test_some_losses_learn_from_negatives_alone(name):
    value, gradient = value_and_gradient(name, NEGATIVES_COUNT[name])
    assert value > 0 and gradient.norm() > 0.1 and gradient.isfinite().all()


@pytest.mark.parametrize("name", WITH_PROXIES)
def test_a_loss_with_proxies_learns_from_any_batch(name):
    value, gradient = value_and_gradient(name, {})
    assert value > 0 and gradient.norm() > 0


def test_binomial_deviance_is_the_term_of_the_negatives():
    """log(1 + exp(25 (s − 0.5))), its mean over the negatives of each anchor."""
    rows = singles()
    terms = [
        math.log1p(math.exp(25 * (float(rows[i] @ rows[j]) - 0.5)))
        for i in range(8)
        for j in range(8)
        if i != j
    ]
    value, _ = value_and_gradient("binomial-deviance", {})
    assert value.item() == pytest.approx(sum(terms) / len(terms))
