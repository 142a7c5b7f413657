"""Cross-batch memory against pytorch-metric-learning's, over several batches."""

import pytest
import torch
from pytorch_metric_learning import distances, miners
from pytorch_metric_learning import losses as pml

from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.cross_batch_memory import CrossBatchMemoryLoss

D = 7
WRAPPED = {
    "contrastive": (pml.ContrastiveLoss(), None),
    "triplet": (pml.TripletMarginLoss(), None),
    "ms": (pml.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.1)),
    "nt-xent": (pml.NTXentLoss(), None),
    "supcon": (pml.SupConLoss(), None),
    "margin": (pml.MarginLoss(), None),
    "circle": (pml.CircleLoss(), None),
    "snr": (pml.SignalToNoiseRatioContrastiveLoss(), None),
    "lifted-structure": (
        pml.GeneralizedLiftedStructureLoss(
            distance=distances.LpDistance(normalize_embeddings=False)
        ),
        None,
    ),
    "tuplet-margin": (pml.TupletMarginLoss(), None),
}


def batches(count=6, items=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        embeddings = torch.randn(items, D, generator=generator, dtype=dtype) + 0.3
        yield embeddings, torch.randint(0, 5, (items,), generator=generator)


@pytest.mark.parametrize("name", WRAPPED)
def test_every_batch_equals_pmls(name):
    loss, miner = WRAPPED[name]
    theirs = pml.CrossBatchMemory(loss, D, memory_size=20, miner=miner)
    ours = CrossBatchMemoryLoss(D, loss=name, memory_size=20)
    for embeddings, labels in batches():
        a, b = (embeddings.clone().requires_grad_() for _ in range(2))
        value, expected = ours(a, labels), theirs(b, labels)
        value.backward()
        expected.backward()
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [*WRAPPED, "nca", "binomial-deviance"])
def test_with_nothing_remembered_yet_the_batch_is_compared_with_itself(name):
    """The first batch meets only its own copies: the value is the loss's own."""
    embeddings, labels = next(batches())
    wrapper = CrossBatchMemoryLoss(D, loss=name)
    torch.testing.assert_close(wrapper(embeddings, labels), wrapper.loss(embeddings, labels))


def test_semi_hard_triplets_against_the_memory():
    ours = CrossBatchMemoryLoss(D, "triplet", 20, {"mining": "semi-hard"})
    miner = miners.TripletMarginMiner(0.2, "semihard")
    theirs = pml.CrossBatchMemory(pml.TripletMarginLoss(0.2), D, memory_size=20, miner=miner)
    for embeddings, labels in batches():
        torch.testing.assert_close(ours(embeddings, labels), theirs(embeddings, labels))


def test_the_queue_resumes():
    whole, first = (CrossBatchMemoryLoss(D, memory_size=20) for _ in range(2))
    values = [whole(*batch) for batch in batches(dtype=torch.float32)]
    half = list(batches(dtype=torch.float32))
    for batch in half[:3]:
        first(*batch)
    resumed = CrossBatchMemoryLoss(D, memory_size=20)
    resumed.load_state_dict(first.state_dict())
    assert [resumed(*batch) for batch in half[3:]] == values[3:]


def test_backward_may_come_after_the_next_batch():
    loss = CrossBatchMemoryLoss(D, memory_size=8)
    (one, one_labels), (two, two_labels) = list(batches(2))
    one.requires_grad_()
    value = loss(one, one_labels)
    loss(two, two_labels)
    value.backward()
    alone = one.detach().clone().requires_grad_()
    CrossBatchMemoryLoss(D, memory_size=8)(alone, one_labels).backward()
    torch.testing.assert_close(one.grad, alone.grad)


def test_memory_has_no_gradient_and_inputs_stay():
    loss = CrossBatchMemoryLoss(D, memory_size=20)
    kept = [(e.requires_grad_(), e.detach().clone(), y) for e, y in batches(3)]
    for embeddings, _, labels in kept:
        value = loss(embeddings, labels)
    value.backward()
    assert [e.grad is not None for e, _, _ in kept] == [False, False, True]
    assert all(torch.equal(e, before) for e, before, _ in kept)
    assert not list(loss.parameters())


def test_one_item_learns_from_the_memory():
    loss = CrossBatchMemoryLoss(D)
    embeddings, labels = next(batches())
    alone = embeddings[:1].clone().requires_grad_()
    assert loss(alone, labels[:1]) == 0
    loss(embeddings[1:], labels[1:])
    value = loss(alone, labels[:1])
    value.backward()
    assert value > 0 and alone.grad.any()
    assert loss(torch.zeros(0, D), torch.zeros(0, dtype=torch.int64)) == 0


def test_bfloat16_and_autocast():
    loss = CrossBatchMemoryLoss(D)
    embeddings, labels = next(batches(dtype=torch.bfloat16))
    embeddings.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(embeddings, labels)
    value.backward()
    expected = ContrastiveLoss()(embeddings.detach().float(), labels)
    torch.testing.assert_close(value, expected)


def test_parameters_reach_the_wrapped_loss():
    loss = CrossBatchMemoryLoss(
        D, "margin", params={"learn_beta": True, "class_beta": True}, num_classes=9
    )
    assert [p.shape for p in loss.parameters()] == [(9,)]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "angular"}, "loss is 'angular'.*one of.*'?binomial-deviance"),
        ({"loss": "n-pairs"}, "loss is 'n-pairs'"),
        ({"loss": "cross-batch-memory"}, "loss is 'cross-batch-memory'"),
        ({"loss": ["contrastive"]}, "loss is"),
        ({"memory_size": 0}, "memory_size is 0"),
        ({"params": 3}, "params is 3"),
        ({"params": {"gain": 3}}, "pos_margin, neg_margin"),
        ({"params": {"pos_margin": -3}}, "'contrastive': pos_margin is -3"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        CrossBatchMemoryLoss(D, **parameters)


def test_batches_that_do_not_fit_are_refused():
    loss = CrossBatchMemoryLoss(D, memory_size=4)
    with pytest.raises(ValueError, match="memory_size"):
        loss(torch.zeros(5, D), torch.zeros(5, dtype=torch.int64))
    with pytest.raises(ValueError, match="memory holds"):
        loss(torch.zeros(4, D + 1), torch.zeros(4, dtype=torch.int64))
