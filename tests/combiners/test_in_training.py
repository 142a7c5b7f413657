"""Gradient surgery in the training loop: at the shared features, with one pass of the backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.gradnorm import GradNorm
from dmlbench.combiners.mgda import MgdaUb, min_norm_weights
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.data.images import ImageSet
from dmlbench.plan.recipe import load_recipe
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.train import Parts, Trainer

SETTINGS = {
    "epochs": 1,
    "batch.classes": 4,
    "batch.images": 2,
    "optimizer.name": "sgd",
    "optimizer.momentum": 0.0,
    "optimizer.weight_decay": 0.0,
    "optimizer.max_gradient_norm": 0.0,
    "schedule.name": "constant",
    "schedule.warmup_epochs": 0,
}


class Backbone(nn.Module):
    num_features = 5

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 5)
        self.passes, self.backward_passes = 0, 0

    def forward(self, images):
        self.passes += 1
        features = self.linear(images.flatten(1)).tanh()
        features.register_hook(self._count)
        return features

    def _count(self, gradient):
        self.backward_passes += 1


class ToProxies(nn.Module):
    """Squared distance to the own class's proxy, in units of its own."""

    def __init__(self, scale, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.proxies = nn.Parameter(torch.randn(4, 3, generator=generator))
        self.scale = scale

    def forward(self, embeddings, labels):
        return self.scale * (embeddings - self.proxies[labels]).square().sum(1).mean()


def one_step(combiner):
    """The parts after a single step on one batch, and the gradients before it, each by itself."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = ImageSet(
        rng.integers(0, 256, (8, 1, 4, 4)).astype(np.uint8),
        np.arange(4).repeat(2),
        tuple("abcd"),
    )
    parts = Parts(
        model=EmbeddingModel(Backbone(), [3]),
        losses=nn.ModuleList([ToProxies(1.0, 1), ToProxies(20.0, 2), ToProxies(0.5, 3)]),
        loss_names=["one", "two", "three"],
        combiner=combiner,
        train_transform=lambda stored, generator: stored.float() / 255,
        test_transform=lambda stored: stored.float() / 255,
        device=torch.device("cpu"),
    )
    # Straight from the definition: a backward pass of its own for each loss.
    pixels, labels = torch.from_numpy(images.images).float() / 255, torch.from_numpy(images.labels)
    features = parts.model.backbone(pixels)
    (head,) = parts.model.embed(features)
    losses = [loss(head, labels) for loss in parts.losses]
    at_features = [torch.autograd.grad(v, features, retain_graph=True)[0] for v in losses]
    weight = parts.model.backbone.linear.weight
    before = weight.detach().clone()

    def pulled_back(gradient):
        return torch.autograd.grad(features, weight, gradient, retain_graph=True)[0]

    parts.model.backbone.passes = parts.model.backbone.backward_passes = 0
    recipe = load_recipe("quick", SETTINGS)
    trainer = Trainer(parts, recipe, images, 0, validate=lambda: 0.0)
    [*trainer.run()]
    rate = recipe.optimizer.backbone_lr
    # The batch holds all images in another order, which changes no sum over them.
    return parts, (before - weight.detach()) / rate, torch.stack(at_features), pulled_back


class Mean(Combiner):
    """Surgery that changes nothing: the mean of the gradients is that of the mean."""

    combines_gradients = True

    def forward(self, losses, heads):
        return losses.mean()

    def combine_gradients(self, gradients, losses):
        return gradients.mean(0)


def test_surgery_that_changes_nothing_is_the_mean_loss():
    parts, step, _, _ = one_step(Mean(3))
    plain, expected, _, _ = one_step(EqualSum(3))
    torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-6)
    for one, other in zip(parts.losses.parameters(), plain.losses.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(parts.model.heads[0].weight, plain.model.heads[0].weight)


@pytest.mark.parametrize("combiner", [EqualSum, Mean, GradNorm, PCGrad, MgdaUb])
def test_the_backbone_is_traversed_once_whatever_the_number_of_losses(combiner):
    parts, *_ = one_step(combiner(3))
    assert (parts.model.backbone.passes, parts.model.backbone.backward_passes) == (1, 1)


def test_mgda_moves_the_backbone_along_the_min_norm_point_of_the_features_gradients():
    _, step, gradients, pulled_back = one_step(MgdaUb(3))
    flat = gradients.flatten(1).double().numpy()
    weights = torch.tensor(min_norm_weights(flat @ flat.T), dtype=torch.float32)
    expected = pulled_back(torch.einsum("m,mbf->bf", weights, gradients))
    torch.testing.assert_close(step, expected, rtol=1e-3, atol=1e-5)
    # All losses fall along it to first order, or none can.
    point = weights.double().numpy() @ flat
    assert (flat @ point >= point @ point - 1e-8).all()


def test_gradnorm_moves_the_backbone_by_the_weighted_gradients_and_heads_by_the_weighted_loss():
    combiner = GradNorm(3)
    with torch.no_grad():
        combiner.raw.copy_(torch.tensor([2.0, 0.25, 0.75]))
    _, step, gradients, pulled_back = one_step(combiner)
    expected = pulled_back(torch.einsum("m,mbf->bf", torch.tensor([2.0, 0.25, 0.75]), gradients))
    torch.testing.assert_close(step, expected, rtol=1e-3, atol=1e-5)
