"""The columns of positives, the distances, and the cosine matrix that losses share."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.data.images import ImageSet
from dmlbench.losses import pairs as pairs_module
from dmlbench.losses import similarity
from dmlbench.losses.contrastive import ContrastiveLoss
from dmlbench.losses.multi_similarity import MultiSimilarityLoss
from dmlbench.losses.pairs import Positives, batch_pairs
from dmlbench.losses.triplet import TripletLoss
from dmlbench.plan.recipe import Batch, Recipe
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.train import Trainer

LABELS = [
    [0, 0, 1, 1],
    [3, 1, 3, 3, 1, 9],
    [5, 5, 5],
    [1, 2, 3],
    [-7, 2**40, -7, 2**40 + 1, 0, -7, 2**40],
    [4],
]


@pytest.mark.parametrize("labels", LABELS)
def test_positives_are_those_of_the_masks(labels):
    labels = torch.tensor(labels)
    everyone = torch.arange(len(labels))
    positives = Positives(labels, labels, everyone)
    for anchor in range(len(labels)):
        same = [j for j in range(len(labels)) if labels[j] == labels[anchor]]
        others = [j for j in same if j != anchor]
        filled = positives.filled[anchor]
        columns = positives.columns[anchor]
        assert columns[filled].tolist() == others
        assert (columns[~filled] == anchor).all()
        assert set(positives.same_class[anchor].tolist()) == set(same)
        assert positives.count[anchor] == len(others)
        assert positives.negatives[anchor] == len(labels) - len(same)


def test_positives_in_a_memory_leave_out_the_anchors_copy():
    labels, memory = torch.tensor([1, 2, 1]), torch.tensor([2, 1, 1, 7, 2, 1])
    positives = Positives(labels, memory, torch.tensor([5, 0, 2]))
    found = [c[f].tolist() for c, f in zip(positives.columns, positives.filled, strict=True)]
    assert found == [[1, 2], [4], [1, 5]]
    assert positives.negatives[:, 0].tolist() == [3, 4, 3]
    assert positives.self_column[:, 0].tolist() == [5, 0, 2]


def test_distances_are_those_of_cdist():
    embeddings = torch.randn(12, 5, dtype=torch.float64)
    embeddings[7] = embeddings[3]
    distance, slope = batch_pairs(embeddings, torch.arange(12)).distances()
    units = torch.nn.functional.normalize(embeddings)
    expected = torch.cdist(units, units)
    torch.testing.assert_close(distance, expected)
    assert distance[3, 7] == slope[3, 7] == 0
    apart = expected > 0
    torch.testing.assert_close(slope[apart], 1 / expected[apart])


@pytest.fixture
def products(monkeypatch):
    """A list that grows by one with every cosine matrix computed."""
    made = []
    original = similarity.CosineMatrix.__init__

    def counting(self, *args):
        made.append(1)
        original(self, *args)

    monkeypatch.setattr(similarity.CosineMatrix, "__init__", counting)
    return made


def example():
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(16, 6, generator=generator, dtype=torch.float64)
    return embeddings.requires_grad_(), torch.arange(16) // 4


THREE = [ContrastiveLoss(), TripletLoss(mining="semi-hard"), MultiSimilarityLoss()]


def test_losses_of_one_batch_share_one_product(products):
    embeddings, labels = example()
    together = torch.autograd.grad(sum(loss(embeddings, labels) for loss in THREE), embeddings)[0]
    assert len(products) == 1
    apart = [torch.autograd.grad(loss(embeddings, labels), embeddings)[0] for loss in THREE]
    torch.testing.assert_close(together, sum(apart))


class Mean(torch.nn.Module):
    """A backbone: a weighted mean colour."""

    num_features = 3

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, images):
        return images.mean((2, 3)) * self.weight


@pytest.mark.parametrize("combiner", [EqualSum, PCGrad])
def test_a_step_of_training_computes_one_product_for_losses_on_one_head(products, combiner):
    batch = Batch(classes=4, images=4)
    recipe = Recipe(name="here", embedding_dim=5, epochs=1, channels_last=False, batch=batch)
    images = np.random.default_rng(0).integers(0, 256, (16, 3, 2, 2)).astype(np.uint8)
    parts = TrainingModules(
        model=EmbeddingModel(Mean(), [5]),
        losses=torch.nn.ModuleList(THREE),
        loss_names=("contrastive", "triplet", "ms"),
        combiner=combiner(3),
        train_transform=lambda stored, *_: stored.float() / 255,
        test_transform=lambda stored: stored.float() / 255,
        device=torch.device("cpu"),
    )
    train = ImageSet(images, np.arange(16) % 4, ("a", "b", "c", "d"))
    trainer = Trainer(parts, recipe, train, seed=0, validate=lambda epoch: 0.5)
    list(trainer.run())
    assert len(products) == len(trainer.sampler) == 1


def test_shared_losses_can_go_backward_one_by_one(products):
    leaf, labels = example()
    embeddings = leaf * 1.0
    losses = [loss(embeddings, labels) for loss in THREE]
    assert len(products) == 1
    gradients = [torch.autograd.grad(value, embeddings)[0] for value in losses]
    for loss, gradient in zip(THREE, gradients, strict=True):
        alone = embeddings.detach().clone().requires_grad_()
        loss(alone, labels).backward()
        torch.testing.assert_close(gradient, alone.grad)


def test_a_batch_changed_in_place_is_computed_again(products):
    embeddings, labels = example()
    first = THREE[0](embeddings, labels)
    with torch.no_grad():
        embeddings.mul_(torch.linspace(-1, 2, 6))
    second = THREE[0](embeddings, labels)
    embeddings.data[0] = embeddings.data[5]
    third = THREE[0](embeddings, labels)
    assert len(products) == 3
    fresh = [THREE[0](embeddings.detach().clone(), labels), third]
    assert fresh[0] == fresh[1] and first != second != third


def test_equal_numbers_from_another_graph_are_not_mixed_up(products):
    first_leaf, labels = example()
    second_leaf = first_leaf.detach().clone().requires_grad_()
    embeddings = first_leaf * 1.0
    first = THREE[0](embeddings, labels)
    embeddings.copy_(second_leaf)
    second = THREE[0](embeddings, labels)
    assert first == second and len(products) == 2
    second.backward()
    assert not first_leaf.grad.any() and second_leaf.grad.any()


def test_threads_share_the_memory_of_products():
    """Each gets its own value, whoever computes in between."""

    def work(seed):
        generator = torch.Generator().manual_seed(seed)
        embeddings = torch.randn(12, 6, generator=generator, dtype=torch.float64)
        labels = torch.randint(0, 4, (12,), generator=generator)
        return [
            torch.stack([loss(embeddings, labels) for loss in THREE]).tolist() for _ in range(20)
        ]

    expected = [work(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == expected


def test_labels_changed_in_place_count():
    embeddings, labels = example()
    first = THREE[0](embeddings, labels)
    labels[:] = torch.arange(16) % 4
    second = THREE[0](embeddings, labels)
    assert second == THREE[0](embeddings, torch.arange(16) % 4) != first


def test_other_labels_for_the_same_embeddings_share_the_product_only(products):
    embeddings, labels = example()
    first = THREE[0](embeddings, labels)
    second = THREE[0](embeddings, torch.arange(16) % 4)
    assert len(products) == 1 and first != second


def test_equal_tensors_that_are_not_the_same_share_nothing(products):
    embeddings, labels = example()
    copy = embeddings.detach().clone().requires_grad_()
    values = [THREE[0](embeddings, labels), THREE[0](copy, labels)]
    assert len(products) == 2
    values[1].backward()
    assert embeddings.grad is None and copy.grad is not None


def test_a_value_without_graph_never_serves_one_with(products):
    embeddings, labels = example()
    with torch.no_grad():
        without = THREE[0](embeddings, labels)
    value = THREE[0](embeddings, labels)
    assert value.requires_grad and not without.requires_grad and value == without


def test_inference_mode_works():
    embeddings, labels = example()
    with torch.inference_mode():
        value = THREE[1](embeddings * 1.0, labels)
    assert value == THREE[1](embeddings, labels)


@pytest.mark.parametrize("leaf", [True, False])
def test_nothing_outlives_the_losses(leaf):
    embeddings, labels = example()
    if not leaf:
        embeddings = embeddings * 1.0
    values = [loss(embeddings, labels) for loss in THREE]
    cosine = similarity._last_cosines.get(embeddings)
    watched = [weakref.ref(cosine), weakref.ref(cosine.matrix)]
    del cosine
    assert all(reference() is not None for reference in watched)
    sum(values).backward()
    watched.append(weakref.ref(embeddings))
    del values, embeddings
    gc.collect()
    assert [reference() for reference in watched] == [None] * 3
    assert similarity._last_cosines._entry is None
    assert pairs_module._last_positives._entry is None


def test_a_detached_batch_gives_a_plain_number():
    embeddings, labels = example()
    value = THREE[0](embeddings.detach(), labels)
    assert not value.requires_grad
