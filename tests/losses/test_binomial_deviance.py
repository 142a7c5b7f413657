"""Binomial deviance against its formula in plain loops."""

import math

import pytest
import torch

from dmlbench.losses.binomial_deviance import BinomialDevianceLoss


def by_loops(embeddings, labels, alpha, positive_alpha, margin):
    total = 0.0
    for i, anchor in enumerate(embeddings):
        costs = {True: [], False: []}
        for j, other in enumerate(embeddings):
            if i == j:
                continue
            cosine = torch.dot(anchor, other) / (anchor.norm() * other.norm())
            same = bool(labels[i] == labels[j])
            exponent = -positive_alpha * (cosine - margin) if same else alpha * (cosine - margin)
            costs[same].append(torch.log(1 + torch.exp(exponent)))
        total = total + sum(sum(kind) / len(kind) for kind in costs.values() if kind)
    return total / len(embeddings)


@pytest.mark.parametrize("parameters", [(25.0, 2.0, 0.5), (10.0, 4.0, -0.1)])
@pytest.mark.parametrize(
    "labels",
    [[0, 0, 0, 1, 1, 2, 3, 3], [0] * 8, list(range(8)), [0, 1] * 4],
    ids=["unequal classes", "one class", "no positives", "equal classes"],
)
def test_value_and_gradient_equal_plain_loops(labels, parameters):
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(8, 5, generator=generator, dtype=torch.float64) * 3 + 1
    embeddings[7] = embeddings[6]  # a duplicate positive counts, unlike in the authors' code
    labels = torch.tensor(labels)
    ours, theirs = (embeddings.clone().requires_grad_() for _ in range(2))
    value = BinomialDevianceLoss(*parameters)(ours, labels)
    expected = by_loops(theirs, labels, *parameters)
    value.backward()
    expected.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_a_pair_by_hand():
    embeddings = torch.tensor([[2.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    positive = BinomialDevianceLoss()(embeddings, torch.tensor([1, 1]))
    negative = BinomialDevianceLoss()(embeddings, torch.tensor([1, 2]))
    assert positive.item() == pytest.approx(math.log1p(math.exp(2 * 0.5)))
    assert negative.item() == pytest.approx(math.log1p(math.exp(-25 * 0.5)))
