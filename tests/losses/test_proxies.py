"""The parts that losses with class vectors are made of."""

import pytest
import torch
from torch.nn import functional

from dmlbench.losses.proxies import ProxyLoss, cosine_to_proxies, scaled_cross_entropy, unit_rows

GENERATOR = torch.Generator().manual_seed(0)
EMBEDDINGS = torch.randn(8, 5, generator=GENERATOR, dtype=torch.float64)
PROXIES = torch.randn(3, 4, 5, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.tensor([0, 1, 2, 3, 3, 3, 1, 0])


def test_unit_rows_equals_normalize_with_its_gradient():
    ours, theirs = (EMBEDDINGS.clone().requires_grad_() for _ in range(2))
    weights = torch.randn(8, 5, generator=GENERATOR, dtype=torch.float64)
    (unit_rows(ours) * weights).sum().backward()
    (functional.normalize(theirs) * weights).sum().backward()
    torch.testing.assert_close(unit_rows(ours), functional.normalize(theirs))
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_zero_row_stays_zero_and_gets_no_gradient():
    rows = torch.zeros(2, 3).requires_grad_()
    unit = unit_rows(rows)
    unit.sum().backward()
    assert not unit.any() and not rows.grad.any()


@pytest.mark.parametrize("each", [0, 2], ids=["(C, D)", "(K, C, D)"])
def test_cosines_take_the_shape_of_the_proxies(each):
    proxies = PROXIES[: each or 1].squeeze(0)
    cosine = cosine_to_proxies(EMBEDDINGS, proxies)
    assert cosine.shape == (8, *proxies.shape[:-1])
    last = functional.cosine_similarity(EMBEDDINGS[7], proxies.reshape(-1, 5)[-1], dim=0)
    torch.testing.assert_close(cosine[7].flatten()[-1], last)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_scaled_cross_entropy_equals_torch(smoothing):
    ours, theirs = (cosine_to_proxies(EMBEDDINGS, PROXIES[0]).requires_grad_() for _ in range(2))
    value = scaled_cross_entropy(
        ours, LABELS, 7.0, on_target=lambda s: (s * s - 0.3, 2 * s), smoothing=smoothing
    )
    own = theirs.gather(1, LABELS[:, None])
    changed = theirs.scatter(1, LABELS[:, None], own * own - 0.3)
    # torch spreads its smoothing over all classes, the own one included.
    expected = functional.cross_entropy(7 * changed, LABELS, label_smoothing=smoothing * 4 / 3)
    value.backward()
    expected.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_base_makes_room_for_one_or_several_proxies():
    assert ProxyLoss(4, 5).proxies.shape == (4, 5)
    assert ProxyLoss(4, 5, each=3).proxies.shape == (3, 4, 5)
