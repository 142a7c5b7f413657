"""The margin loss's own: a learned boundary, and negatives drawn by distance."""

import pytest
import torch
from pytorch_metric_learning import losses as pml

from dmlbench.losses.margin import MarginLoss
from dmlbench.losses.pairs import batch_pairs


def example(seed=0, items=24, width=6):
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(items, width, generator=generator, dtype=torch.float64)
    return embeddings.requires_grad_(), torch.arange(items) % 6


@pytest.mark.parametrize("nu", [0.0, 0.3])
@pytest.mark.parametrize("class_beta", [False, True])
@pytest.mark.parametrize("labels", ["classes", "singles"])
def test_a_learned_boundary_equals_pmls(class_beta, nu, labels):
    embeddings, classes = example()
    if labels == "singles":
        classes = torch.arange(len(classes))
    number = len(classes)
    ours = MarginLoss(
        beta=1.0, nu=nu, class_beta=class_beta, mining="all", num_classes=number
    ).double()
    theirs = pml.MarginLoss(
        beta=1.0, nu=nu, learn_beta=True, num_classes=number if class_beta else None
    ).double()
    if class_beta:
        with torch.no_grad():
            ours.beta.copy_(torch.linspace(0.5, 1.5, number))
            theirs.beta.copy_(ours.beta)
    value, expected = ours(embeddings, classes), theirs(embeddings, classes)
    torch.testing.assert_close(value, expected.squeeze())
    gradient = torch.autograd.grad(value, [embeddings, ours.beta])
    expected = torch.autograd.grad(expected.squeeze(), [embeddings, theirs.beta], allow_unused=True)
    torch.testing.assert_close(gradient[0], expected[0])
    theirs_beta = torch.zeros_like(theirs.beta) if expected[1] is None else expected[1]
    torch.testing.assert_close(gradient[1].reshape(-1), theirs_beta)


def test_a_fixed_boundary_is_no_parameter():
    fixed = MarginLoss(learn_beta=False, class_beta=False, mining="all")
    assert not list(fixed.parameters()) and not fixed.state_dict() and fixed.learning_rate is None


def test_by_default_a_boundary_per_class_is_learned_at_a_rate_of_its_own():
    loss = MarginLoss(num_classes=7)
    assert [(name, p.shape) for name, p in loss.named_parameters()] == [("beta", (7,))]
    assert loss.mining == "distance-weighted" and loss.learning_rate == 0.0005
    assert MarginLoss(num_classes=7, beta_lr=None).learning_rate is None
    embeddings, labels = example()
    loss(embeddings.float(), labels).backward()
    assert loss.beta.grad[:6].any() and loss.beta.grad[6] == 0


def test_labels_beyond_the_boundaries_are_refused():
    embeddings, labels = example()
    with pytest.raises(ValueError, match=r"'margin': labels range from 0 to 5.*\[0, 5\)"):
        MarginLoss(num_classes=5)(embeddings, labels)


def test_drawn_negatives_give_pmls_loss_on_the_same_triplets():
    embeddings, labels = example()
    loss = MarginLoss(learn_beta=False, class_beta=False, seed=3)
    pairs = batch_pairs(embeddings, labels)
    drawn, counts = loss._draw(pairs, pairs.distances()[0], pairs.positives.filled.double())
    anchors = torch.arange(len(labels))[:, None].expand_as(drawn)
    kept = counts > 0
    triplets = anchors[kept], pairs.positives.columns[kept], drawn[kept]
    assert kept.any() and (labels[triplets[0]] != labels[triplets[2]]).all()
    again = MarginLoss(learn_beta=False, class_beta=False, seed=3)
    value, expected = again(embeddings, labels), pml.MarginLoss()(embeddings, labels, triplets)
    torch.testing.assert_close(value, expected)
    ours, theirs = (torch.autograd.grad(v, embeddings)[0] for v in (value, expected))
    torch.testing.assert_close(ours, theirs)


def test_draws_follow_the_inverse_density():
    embeddings, labels = example(items=5)
    labels = torch.tensor([0, 0, 1, 2, 3])
    loss = MarginLoss(learn_beta=False, class_beta=False, nonzero_loss_cutoff=1.9)
    pairs = batch_pairs(embeddings, labels)
    distance = pairs.distances()[0]
    counts = torch.zeros(5)
    for _ in range(4000):
        counts[loss._draw(pairs, distance.clone(), pairs.positives.filled.double())[0][0]] += 1
    d = distance[0, 2:].clamp(min=0.5)
    expected = d ** (2 - 6) * (1 - d**2 / 4) ** ((3 - 6) / 2) * (d < 1.9)
    expected = (expected / expected.sum()).float()
    torch.testing.assert_close(counts[2:] / 4000, expected, rtol=0, atol=0.03)
    assert (expected > 0.05).sum() >= 2  # or the comparison says little


def test_anchors_without_a_near_negative_are_left_out():
    embeddings = torch.tensor([[1.0, 0], [1, 0.5], [-1, 0], [-1, 0.1]], requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1])
    value = MarginLoss(learn_beta=False, class_beta=False, nonzero_loss_cutoff=0.6)(
        embeddings, labels
    )
    value.backward()
    assert value == 0 and not embeddings.grad.any()


def test_the_draws_of_one_seed_are_not_those_of_the_next_a_batch_later():
    embeddings, labels = example(items=60)
    first, second = (MarginLoss(learn_beta=False, class_beta=False, seed=seed) for seed in (0, 1))
    values = [[loss(embeddings, labels).item() for _ in range(6)] for loss in (first, second)]
    assert not set(values[0]) & set(values[1])


def test_draws_differ_from_batch_to_batch_and_continue_after_a_resume():
    embeddings, labels = example(items=60)
    loss = MarginLoss(learn_beta=False, class_beta=False, seed=5)
    first, state = loss(embeddings, labels), loss.state_dict()
    state = {name: value.clone() for name, value in state.items()}
    second = loss(embeddings, labels)
    assert first != second
    resumed = MarginLoss(learn_beta=False, class_beta=False, seed=5)
    resumed.load_state_dict(state)
    assert resumed(embeddings, labels) == second
    assert MarginLoss(learn_beta=False, class_beta=False, seed=5)(embeddings, labels) == first
