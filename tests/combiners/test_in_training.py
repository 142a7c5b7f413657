"""One step of training moves heads and backbone as the combiner's definition says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.gradnorm import GradNorm
from dmlbench.combiners.mgda import MgdaUb, min_norm_weights
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.combiners.wedl import DiverseEnsemble
from dmlbench.data.images import ImageSet
from dmlbench.plan.recipe import load_recipe
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.train import Trainer

SETTINGS = {
    "epochs": 1,
    "batch.classes": 4,
    "batch.images": 2,
    "optimizer.name": "sgd",
    "optimizer.backbone_lr": 4e-3,
    "optimizer.head_lr": 4e-3,
    "optimizer.loss_lr": 2e-2,
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
        if features.requires_grad:
            features.register_hook(self._count)
        return features

    def _count(self, gradient):
        self.backward_passes += 1


class ToProxies(nn.Module):
    """Squared distance to the own class's proxy, in units of its own."""

    def __init__(self, scale, seed, takes="embeddings"):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        width = Backbone.num_features if takes == "features" else 3
        self.proxies = nn.Parameter(torch.randn(4, width, generator=generator))
        self.scale, self.takes = scale, takes

    def forward(self, embeddings, labels):
        return self.scale * (embeddings - self.proxies[labels]).square().sum(1).mean()


LOSSES = ((1.0, 1), (20.0, 2), (0.5, 3))  # scale, seed


class Step:
    """A single step of training on one batch, and each loss's gradients before it.

    moved: what the shared parameters, backbone and heads, have moved by, over the rate, (P,).
    of_losses: gradients of each loss at them, (M, P). at_outputs: at the head's output, (M, B, D).
    """

    def __init__(self, combiner, takes=("embeddings",) * 3, micro=0, heads=1):
        torch.manual_seed(0)
        rng = np.random.default_rng(0)
        images = ImageSet(
            rng.integers(0, 256, (8, 1, 4, 4)).astype(np.uint8),
            np.arange(4).repeat(2),
            tuple("abcd"),
        )
        modules = [ToProxies(*given, taken) for given, taken in zip(LOSSES, takes, strict=True)]
        self.parts = parts = TrainingModules(
            model=EmbeddingModel(Backbone(), [3] * heads),
            losses=nn.ModuleList(modules),
            loss_names=["one", "two", "three"],
            combiner=combiner,
            train_transform=lambda stored, *_: stored.float() / 255,
            test_transform=lambda stored: stored.float() / 255,
            device=torch.device("cpu"),
        )
        # Straight from the definition: a backward pass of its own for each loss.
        pixels = torch.from_numpy(images.images).float() / 255
        labels = torch.from_numpy(images.labels)
        features = parts.model.backbone(pixels)
        outputs = [head(features) for head in parts.model.heads]
        losses = []
        for index, (module, taken) in enumerate(zip(modules, takes, strict=True)):
            output = outputs[index % heads]
            unit = output / output.norm(dim=1, keepdim=True)
            seen = {"embeddings": unit, "unnormalised": output, "features": features}[taken]
            losses.append(module(seen, labels))
        self.shared = [*parts.model.backbone.parameters(), *parts.model.heads.parameters()]
        self.of_losses = torch.stack([self._flat(loss, self.shared) for loss in losses])
        self.of_proxies = [
            torch.autograd.grad(loss, module.proxies, retain_graph=True)[0]
            for loss, module in zip(losses, modules, strict=True)
        ]
        self.representation = features if heads > 1 or "features" in takes else outputs[0]
        self.at_outputs = torch.stack(
            [torch.autograd.grad(v, self.representation, retain_graph=True)[0] for v in losses]
        )
        before = self._values(self.shared)
        proxies = [module.proxies.detach().clone() for module in modules]
        self.pulled_back = lambda gradient: self._flat(
            self.representation, self.shared, gradient.to(self.representation)
        )
        recipe = load_recipe("quick", {**SETTINGS, "batch.micro": micro})
        trainer = Trainer(parts, recipe, images, 0, validate=lambda epoch: 0.0)
        # What is pulled back must be taken before the step changes the parameters.
        self.point = self.pulled_back(
            torch.einsum("m,mbr->br", min_norm(self.at_outputs), self.at_outputs)
        )
        parts.model.backbone.passes = parts.model.backbone.backward_passes = 0
        [*trainer.run()]
        rate = recipe.optimizer.backbone_lr
        # The batch holds all images in another order, which changes no sum over them.
        self.moved = (before - self._values(self.shared)) / rate
        self.moved_proxies = [
            (old - module.proxies.detach()) / recipe.optimizer.loss_lr
            for old, module in zip(proxies, modules, strict=True)
        ]

    @staticmethod
    def _flat(value, parameters, gradient=None):
        found = torch.autograd.grad(
            value, parameters, gradient, retain_graph=True, materialize_grads=True
        )
        return torch.cat([one.flatten() for one in found])

    @staticmethod
    def _values(parameters):
        return torch.cat([one.detach().flatten() for one in parameters]).clone()


def min_norm(gradients):
    flat = gradients.flatten(1).double().numpy()
    return torch.tensor(min_norm_weights(flat @ flat.T), dtype=torch.float32)


def same(one, other):
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


class Mean(Combiner):
    """Surgery that changes nothing: the mean of the gradients is that of the mean."""

    combines_gradients = True

    def forward(self, losses, heads):
        return losses.mean()

    def combine_gradients(self, gradients, losses):
        return gradients.mean(0)


class MeanAtParameters(Mean):
    at = "parameters"


@pytest.mark.parametrize("micro", [0, 3])
@pytest.mark.parametrize("surgery", [Mean, MeanAtParameters])
@pytest.mark.parametrize("heads", [1, 3])
def test_surgery_that_changes_nothing_is_the_mean_loss(surgery, heads, micro):
    step = Step(surgery(3), heads=heads, micro=micro)
    same(step.moved, step.of_losses.mean(0))
    for moved, own in zip(step.moved_proxies, step.of_proxies, strict=True):
        same(moved, own / 3)


@pytest.mark.parametrize(
    "combiner", [EqualSum, Mean, GradNorm, lambda m: PCGrad(m, at="representation"), MgdaUb]
)
def test_the_backbone_is_traversed_once_whatever_the_number_of_losses(combiner):
    backbone = Step(combiner(3)).parts.model.backbone
    assert (backbone.passes, backbone.backward_passes) == (1, 1)


def test_pcgrad_at_the_parameters_goes_back_through_the_backbone_once_a_loss():
    backbone = Step(PCGrad(3)).parts.model.backbone
    assert (backbone.passes, backbone.backward_passes) == (1, 3)


@pytest.mark.parametrize("micro", [0, 3])
def test_mgda_moves_head_and_backbone_along_one_combination_the_min_norm_point(micro):
    step = Step(MgdaUb(3), micro=micro)
    weights = min_norm(step.at_outputs)
    # The losses scaled by the weights, through everything.
    same(step.moved, weights @ step.of_losses)
    same(step.moved, step.point)
    for moved, weight, own in zip(step.moved_proxies, weights, step.of_proxies, strict=True):
        same(moved, weight * own)
    # All losses fall along it to first order, or none can.
    flat = step.at_outputs.flatten(1)
    point = weights @ flat
    assert (flat @ point >= point @ point - 1e-6).all()
    assert 0 < weights.max() < 1


@pytest.mark.parametrize("micro", [0, 3])
def test_pcgrad_projects_the_gradients_of_the_shared_parameters(micro):
    step = Step(PCGrad(2 + 1), micro=micro)
    candidates = []
    gradients = step.of_losses.double().numpy()
    orders = [*itertools.permutations(range(3))]
    for chosen in itertools.product(orders, repeat=3):
        projected = []
        for i, order in enumerate(chosen):
            own = gradients[i].copy()
            for j in order:
                if j != i and own @ gradients[j] < 0:
                    own -= own @ gradients[j] / (gradients[j] @ gradients[j]) * gradients[j]
            projected.append(own)
        candidates.append(np.mean(projected, axis=0))
    distances = [np.abs(step.moved.numpy() - one).max() for one in candidates]
    assert min(distances) < 1e-3 * np.abs(step.moved.numpy()).max()
    # It has acted: the mean of the gradients is another step.
    assert (step.moved - step.of_losses.mean(0)).abs().max() > 0.01 * step.moved.abs().max()


def test_gradnorm_moves_everything_by_the_weighted_loss():
    combiner = GradNorm(3)
    weights = torch.tensor([2.0, 0.25, 0.75])
    with torch.no_grad():
        combiner.raw.copy_(weights)
    step = Step(combiner)
    same(step.moved, weights @ step.of_losses)


@pytest.mark.parametrize("combiner", [EqualSum, MgdaUb, PCGrad])
def test_each_loss_sees_the_input_that_it_takes(combiner):
    step = Step(combiner(3), takes=("embeddings", "unnormalised", "features"))
    if combiner is EqualSum:
        same(step.moved, step.of_losses.mean(0))
    if combiner is MgdaUb:
        same(step.moved, min_norm(step.at_outputs) @ step.of_losses)
    weights = step.parts.combiner.weights()
    weight = 1 / 3 if weights is None else weights[2].item()
    same(step.moved_proxies[2], weight * step.of_proxies[2])


def test_with_a_head_per_loss_each_loss_sees_its_own():
    takes = ("embeddings", "unnormalised", "embeddings")
    step = Step(DiverseEnsemble(3, diversity=0.0), takes, heads=3)
    # At the first batch a loss is its own running mean.
    assert step.moved.isfinite().all()
    coefficients = torch.linalg.lstsq(step.of_losses.T, step.moved[:, None]).solution[:, 0]
    same(coefficients @ step.of_losses, step.moved)
    assert (coefficients > 0).all()
