"""Cross-batch memory against pytorch-metric-learning's, over several batches."""

import pytest
import torch
from pytorch_metric_learning import distances, miners
from pytorch_metric_learning import losses as pml
from words import refused

from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.cross_batch_memory import CrossBatchMemoryLoss
from dmlbench.losses.triplet import TripletLoss

D = 7
WRAPPED = {
    "contrastive": (pml.ContrastiveLoss(), None),
    "triplet": (pml.TripletMarginLoss(), None),
    "multi-similarity": (pml.MultiSimilarityLoss(), miners.MultiSimilarityMiner(0.1)),
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


PARAMS = {"margin": {"mining": "all", "learn_beta": False, "class_beta": False}}


def memory_only(loss, **options):
    """As pytorch-metric-learning has it: no loss within the batch, from the first step."""
    params = options.pop("params", PARAMS.get(loss))
    return CrossBatchMemoryLoss(D, loss, start=0, batch_loss=False, params=params, **options)


def batches(count=6, items=8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(2)
    for _ in range(count):
        embeddings = torch.randn(items, D, generator=generator, dtype=dtype) + 0.3
        yield embeddings, torch.randint(0, 5, (items,), generator=generator)


@pytest.mark.parametrize("name", WRAPPED)
def test_every_batch_equals_pmls(name):
    loss, miner = WRAPPED[name]
    theirs = pml.CrossBatchMemory(loss, D, memory_size=20, miner=miner)
    ours = memory_only(name, memory_size=20)
    for embeddings, labels in batches():
        a, b = (embeddings.clone().requires_grad_() for _ in range(2))
        value, expected = ours(a, labels), theirs(b, labels)
        value.backward()
        expected.backward()
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [*WRAPPED, "nca", "binomial-deviance", "cosine-contrastive"])
def test_with_nothing_remembered_yet_the_batch_is_compared_with_itself(name):
    """The first batch meets only its own copies: the value is the loss's own."""
    embeddings, labels = next(batches())
    wrapper = memory_only(name)
    torch.testing.assert_close(wrapper(embeddings, labels), wrapper.loss(embeddings, labels))


def test_semi_hard_triplets_against_the_memory():
    ours = memory_only("triplet", memory_size=20, params={"mining": "semi-hard"})
    miner = miners.TripletMarginMiner(0.2, "semihard")
    theirs = pml.CrossBatchMemory(pml.TripletMarginLoss(0.2), D, memory_size=20, miner=miner)
    for embeddings, labels in batches():
        torch.testing.assert_close(ours(embeddings, labels), theirs(embeddings, labels))


def test_the_queue_resumes():
    whole, first = (CrossBatchMemoryLoss(D, memory_size=20, start=2) for _ in range(2))
    values = [whole(*batch) for batch in batches(dtype=torch.float32)]
    half = list(batches(dtype=torch.float32))
    for batch in half[:3]:
        first(*batch)
    resumed = CrossBatchMemoryLoss(D, memory_size=20, start=2)
    resumed.load_state_dict(first.state_dict())
    assert [resumed(*batch) for batch in half[3:]] == values[3:]


def test_backward_may_come_after_the_next_batch():
    loss = memory_only("contrastive", memory_size=8)
    (one, one_labels), (two, two_labels) = list(batches(2))
    one.requires_grad_()
    value = loss(one, one_labels)
    loss(two, two_labels)
    value.backward()
    alone = one.detach().clone().requires_grad_()
    memory_only("contrastive", memory_size=8)(alone, one_labels).backward()
    torch.testing.assert_close(one.grad, alone.grad)


def test_memory_has_no_gradient_and_inputs_stay():
    loss = CrossBatchMemoryLoss(D, memory_size=20, start=0)
    kept = [(e.requires_grad_(), e.detach().clone(), y) for e, y in batches(3)]
    for embeddings, _, labels in kept:
        value = loss(embeddings, labels)
    value.backward()
    assert [e.grad is not None for e, _, _ in kept] == [False, False, True]
    assert all(torch.equal(e, before) for e, before, _ in kept)
    assert not list(loss.parameters())


def test_one_item_learns_from_the_memory():
    loss = CrossBatchMemoryLoss(D, start=0)
    embeddings, labels = next(batches())
    alone = embeddings[:1].clone().requires_grad_()
    assert loss(alone, labels[:1]) == 0
    loss(embeddings[1:], labels[1:])
    value = loss(alone, labels[:1])
    value.backward()
    assert value > 0 and alone.grad.any()
    assert loss(torch.zeros(0, D), torch.zeros(0, dtype=torch.int64)) == 0


def test_bfloat16_and_autocast():
    loss = memory_only("contrastive")
    embeddings, labels = next(batches(dtype=torch.bfloat16))
    embeddings.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(embeddings, labels)
    value.backward()
    expected = ContrastiveLoss()(embeddings.detach().float(), labels)
    torch.testing.assert_close(value, expected)


def test_parameters_reach_the_wrapped_loss():
    loss = CrossBatchMemoryLoss(D, "margin", params={"beta_lr": 0.03}, num_classes=9)
    assert [p.shape for p in loss.parameters()] == [(9,)] and loss.learning_rate == 0.03
    assert CrossBatchMemoryLoss(D).learning_rate is None
    assert [CrossBatchMemoryLoss(D, name).takes for name in ("triplet", "lifted-structure")] == [
        "embeddings",
        "unnormalised",
    ]


def test_the_memory_joins_the_batch_after_the_start():
    loss = CrossBatchMemoryLoss(D, "triplet", memory_size=20, start=2, weight=0.5)
    alone, memory = TripletLoss(), memory_only("triplet", memory_size=20)
    for step, (embeddings, labels) in enumerate(batches()):
        expected = alone(embeddings, labels)
        if step >= 2:
            expected = expected + 0.5 * memory(embeddings, labels)
        torch.testing.assert_close(loss(embeddings, labels), expected)


def test_the_queue_is_no_larger_than_the_training_set():
    assert CrossBatchMemoryLoss(D, num_images=50).embedding_memory.shape == (50, D)
    assert CrossBatchMemoryLoss(D, num_images=50_000).embedding_memory.shape == (8192, D)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "angular"}, "loss is 'angular'.*one of.*'?binomial-deviance"),
        ({"loss": "n-pairs"}, "loss is 'n-pairs'"),
        ({"loss": "cross-batch-memory"}, "loss is 'cross-batch-memory'"),
        ({"weight": 0, "batch_loss": False}, "above 0 without batch_loss"),
        ({"loss": ["contrastive"]}, "loss is"),
        ({"memory_size": 0}, "memory_size is 0"),
        ({"start": -1}, "start is -1"),
        ({"weight": -1}, "weight is -1"),
        ({"batch_loss": 1}, "batch_loss is 1"),
        ({"params": {"margin": 2}}, "'cosine-contrastive': margin is 2"),
        ({"params": 3}, "params is 3"),
        ({"loss": "contrastive", "params": {"gain": 3}}, "pos_margin, neg_margin"),
        ({"loss": "contrastive", "params": {"pos_margin": -3}}, "'contrastive': pos_margin is -3"),
    ],
)
def test_bad_parameters_are_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        CrossBatchMemoryLoss(D, **parameters)


def test_batches_that_do_not_fit_are_refused():
    loss = CrossBatchMemoryLoss(D, memory_size=4)
    with pytest.raises(ValueError, match="memory_size"):
        loss(torch.zeros(5, D), torch.zeros(5, dtype=torch.int64))
    with refused(ValueError):
        loss(torch.zeros(4, D + 1), torch.zeros(4, dtype=torch.int64))
