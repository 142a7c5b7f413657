"""The loss by its definition, pair by pair, and against the contract."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from dmlbench_template.loss import AlignmentUniformityLoss
from dmlbench_template.plugin import dmlbench_losses

from dmlbench.testing import check_loss


def by_definition(embeddings, labels, exponent, temperature, weight):
    unit = [[v / math.sqrt(sum(w * w for w in row)) for v in row] for row in embeddings.tolist()]
    near, spread = [], []
    for (x, a), (y, b) in itertools.combinations(zip(unit, labels.tolist(), strict=True), 2):
        distance = math.dist(x, y)
        spread.append(math.exp(-temperature * distance**2))
        if a == b:
            near.append(distance**exponent)
    return sum(near) / len(near) + weight * math.log(sum(spread) / len(spread))


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_value(exponent):
    torch.manual_seed(0)
    embeddings, labels = torch.randn(8, 5, dtype=torch.float64), torch.arange(8) // 2
    loss = AlignmentUniformityLoss(exponent=exponent, temperature=3.0, uniformity_weight=0.5)
    expected = by_definition(embeddings, labels, exponent, 3.0, 0.5)
    assert loss(embeddings, labels).item() == pytest.approx(expected, rel=1e-9)


def test_gradient():
    torch.manual_seed(0)
    embeddings = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    assert torch.autograd.gradcheck(lambda e: AlignmentUniformityLoss()(e, labels), embeddings)


def test_contract():
    results = check_loss(AlignmentUniformityLoss)
    assert [result for result in results if result.outcome == "failed"] == []


def test_spec_has_the_defaults_of_the_class():
    (spec,) = dmlbench_losses()
    loss = AlignmentUniformityLoss()
    assert {name: getattr(loss, name) for name in spec.defaults} == dict(spec.defaults)
