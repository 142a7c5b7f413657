"""Micro-batches: the step of the whole batch, with the random numbers and statistics of one run."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dmlbench.combiners.gradnorm import GradNorm
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.combiners.wedl_c import CompressedEnsemble
from dmlbench.combiners.wel import WeightedEnsemble
from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.losses.multi_similarity import MultiSimilarityLoss
from dmlbench.losses.proxy_anchor import ProxyAnchorLoss
from dmlbench.plan.recipe import Batch, Optimizer, Recipe
from dmlbench.training.backbone_pass import BackbonePass
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.train import Trainer

CPU = torch.device("cpu")
LABELS = np.repeat(np.arange(6), 8)


class Network(nn.Module):
    """Convolutions with a normalisation and dropout. images (B, 3, 12, 12) -> (B, 16)."""

    num_features = 16

    def __init__(self, norm=nn.BatchNorm2d, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2), norm(8), nn.GELU(), nn.Dropout(dropout), nn.Conv2d(8, 16, 3)
        )

    def forward(self, images):
        return self.layers(images).mean((2, 3))


def recipe(micro, **more):
    return Recipe(
        name="test", epochs=2, embedding_dim=8, batch=Batch(classes=6, images=3, micro=micro),
        # The penalty on the weights of losses is steep: plain steps must be small.
        optimizer=Optimizer(
            name="sgd", backbone_lr=0.1, head_lr=0.1, combiner_lr=1e-5, max_gradient_norm=1.0
        ),
        **more,
    )  # fmt: skip


def trained(micro, norm=nn.BatchNorm2d, combiner=None, dropout=0.0, **more):
    """The state, and the history, after two epochs."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = ImageSet(
        rng.integers(0, 256, (48, 3, 12, 12), dtype=np.uint8), LABELS, tuple("abcdef")
    )
    combiner = combiner or WeightedEnsemble(2)
    dims = [4, 4] if combiner.heads == "per-loss" else [8]
    dim = dims[-1]
    plan = recipe(micro, **more)
    parts = TrainingModules(
        model=EmbeddingModel(Network(norm, dropout), dims),
        losses=nn.ModuleList([MultiSimilarityLoss(), ProxyAnchorLoss(6, dim)]),
        loss_names=["ms", "proxy-anchor"],
        combiner=combiner,
        train_transform=TrainTransform([{"name": "flip"}], 12, (0.5,) * 3, (0.25,) * 3),
        test_transform=TestTransform(12, (0.5,) * 3, (0.25,) * 3),
        device=CPU,
    )
    trainer = Trainer(parts, plan, images, seed=3, validate=lambda epoch: 0.5)
    history = list(trainer.run())
    return trainer.state_dict()["modules"], history


def ensemble(kind):
    torch.manual_seed(1)
    return {
        "wel": lambda: WeightedEnsemble(2),
        "pcgrad": lambda: PCGrad(2),
        "gradnorm": lambda: GradNorm(2),
        "wedl-c": lambda: CompressedEnsemble(2, embedding_dim=8, head_dims=[4, 4]),
    }[kind]()


@pytest.mark.parametrize("kind", ["wel", "pcgrad", "gradnorm", "wedl-c"])
@pytest.mark.parametrize("norm", ["none", "frozen"])
@pytest.mark.parametrize("micro", [1, 5, 18])
def test_the_step_is_that_of_the_whole_batch(kind, norm, micro):
    options = {"norm": nn.BatchNorm2d, "freeze_batch_norm": True}
    if norm == "none":
        options = {"norm": lambda width: nn.GroupNorm(2, width)}
    whole, told = trained(0, combiner=ensemble(kind), **options)
    parts, told_in_parts = trained(micro, combiner=ensemble(kind), **options)
    for module, state in whole.items():
        for name, value in state.items():
            torch.testing.assert_close(parts[module][name], value, atol=1e-6, rtol=1e-5)
    for one, other in zip(told, told_in_parts, strict=True):
        assert one["losses"] == pytest.approx(other["losses"], rel=1e-6)


def test_adding_up_the_gradients_of_parts_would_be_another_step():
    """What the two runs are for: the loss of parts is blind to the pairs between them."""
    torch.manual_seed(0)
    embeddings = nn.functional.normalize(torch.randn(18, 8), dim=1).requires_grad_()
    labels = torch.arange(6).repeat_interleave(3)
    order = torch.randperm(18)
    loss = MultiSimilarityLoss()
    (whole,) = torch.autograd.grad(loss(embeddings, labels), embeddings)
    parts = sum(
        torch.autograd.grad(loss(embeddings[rows], labels[rows]) / 3, embeddings)[0]
        for rows in order.split(6)
    )
    assert (whole - parts).abs().max() > 0.01


def in_pieces(network, images, micro, gradient):
    """One graph over all parts: what the two runs must come to."""
    parts = images.tensor_split(-(-len(images) // micro))
    features = torch.cat([network(part) for part in parts])
    features.backward(gradient)
    return features.detach()


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_both_runs_draw_the_same_and_leave_the_statistics_of_one(dropout):
    torch.manual_seed(0)
    images, gradient = torch.randn(18, 3, 12, 12), torch.randn(18, 16)
    one = Network(dropout=dropout)
    other = copy.deepcopy(one)
    torch.manual_seed(7)
    expected = in_pieces(one, images, 5, gradient)
    drawn_after = torch.rand(3)
    torch.manual_seed(7)
    through = BackbonePass(other, recipe(5), CPU)
    features = through.forward(images)
    drawn_between = torch.rand(3)
    through.backward(gradient)
    torch.testing.assert_close(features, expected)
    # What the losses draw in between does not depend on the second run, and is not drawn twice.
    assert torch.equal(drawn_between, drawn_after)
    torch.manual_seed(7)
    in_pieces(copy.deepcopy(one), images, 5, gradient)
    assert not torch.equal(torch.rand(6)[:3], torch.rand(3))
    for (name, ours), (_, theirs) in zip(
        other.state_dict().items(), one.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, msg=name)
    for ours, theirs in zip(other.parameters(), one.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_random_state_after_a_step_is_that_before_the_second_run():
    torch.manual_seed(0)
    network, images = Network(dropout=0.5), torch.randn(18, 3, 12, 12)
    through = BackbonePass(network, recipe(5), CPU)
    through.forward(images)
    torch.rand(4)
    state = torch.get_rng_state()
    through.backward(torch.randn(18, 16, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_backbone_never_sees_more_than_a_part():
    seen = []
    network = Network()
    network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    through = BackbonePass(network, recipe(5), CPU)
    through.forward(torch.randn(18, 3, 12, 12))
    through.backward(torch.randn(18, 16))
    assert seen == [5, 5, 4, 4] * 2


def test_bfloat16_in_parts_gives_the_features_of_the_whole_batch():
    images = torch.randn(18, 3, 12, 12)
    network = Network(norm=lambda width: nn.GroupNorm(2, width))
    outs, grads = [], []
    for micro in (0, 5):
        through = BackbonePass(network, recipe(micro, precision="bfloat16"), CPU)
        outs.append(through.forward(images).detach())
        network.zero_grad()
        through.backward(torch.ones(18, 16))
        grads.append([p.grad.clone() for p in network.parameters()])
    assert outs[0].dtype == torch.float32
    torch.testing.assert_close(outs[1], outs[0], atol=0.02, rtol=0.02)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, atol=0.05 * one.abs().max().item(), rtol=0.05)


def test_batch_normalisation_stays_frozen_through_every_step_of_every_epoch():
    modes = []

    class Watched(nn.BatchNorm2d):
        def forward(self, values):
            modes.append(self.training)
            return super().forward(values)

    state, _ = trained(0, norm=Watched, freeze_batch_norm=True)
    assert len(modes) == 2 * 3 and not any(modes)
    assert torch.equal(state["model"]["backbone.layers.1.running_mean"], torch.zeros(8))
