"""Configurations of one seed start with the same weights wherever they have the same parts."""

import numpy as np
import torch
from torch import nn

from dmlbench.combiners.fixed import EqualSum
from dmlbench.data.images import ImageSet
from dmlbench.plan.recipe import load_recipe
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.training.build import build
from dmlbench.training.data_source import DataSource
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.random_states import seed_for
from dmlbench.training.train import Trainer


def drawn(seed, name):
    seed_for(seed, name)
    return torch.rand(()).item(), np.random.rand()


def test_each_name_has_a_random_state_of_its_own():
    values = [drawn(seed, name) for seed in (0, 1) for name in ("heads", "backbone")]
    assert len(set(values)) == 4
    assert drawn(0, "heads") == values[0]


def states(tiny, losses, combiner=None, seed=0):
    registry = load_plugins()
    request = Request(
        losses=losses, combiners=[combiner] if combiner else [], dataset="tiny",
        overrides=tiny["overrides"], singles=not combiner,
    )  # fmt: skip
    configuration = make_plan(request, registry).configurations[-1]
    data = DataSource(configuration, registry).training()
    return build(configuration, registry, data, torch.device("cpu"), seed).parts


def same(one, other):
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_configurations_of_one_seed_start_with_the_same_weights(tiny):
    alone = states(tiny, ["proxy-anchor"])
    other = states(tiny, ["proxy-nca"])
    together = states(tiny, ["soft-triple", "proxy-anchor"], "wel")
    assert same(alone.model, other.model) and same(alone.model, together.model)
    assert same(alone.losses[0], together.losses[1])
    first, second = states(tiny, ["2*proxy-anchor"], "wedl-c").losses
    assert same(first, alone.losses[0]) and not same(second, first)
    assert not same(alone.model, states(tiny, ["proxy-anchor"], seed=1).model)


class Drawing(nn.Module):
    """Draws `count` numbers in every call and keeps the first; a loss, or a backbone."""

    num_features = 4

    def __init__(self, count, kept):
        super().__init__()
        self.count, self.kept = count, kept
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, inputs, labels=None):
        self.kept.append((torch.rand(self.count)[0].item(), np.random.rand()))
        features = inputs.flatten(1)[:, :4] * self.weight
        return features if labels is None else features.sum()


class DrawingSum(EqualSum):
    def forward(self, losses, heads):
        self.kept.append(torch.rand(()).item())
        return super().forward(losses, heads)


def drawn_in_training(names, counts):
    """What backbone, each loss by name, and combiner draw in two epochs of two steps."""
    kept = {name: [] for name in ("backbone", "combiner", *names)}
    combiner = DrawingSum(len(names))
    combiner.kept = kept["combiner"]
    parts = TrainingModules(
        model=EmbeddingModel(Drawing(3, kept["backbone"]), [3]),
        losses=nn.ModuleList(Drawing(n, kept[name]) for name, n in zip(names, counts, strict=True)),
        loss_names=names,
        combiner=combiner,
        train_transform=lambda stored, *_: stored.float(),
        test_transform=lambda stored: stored.float(),
        device=torch.device("cpu"),
    )
    images = ImageSet(np.ones((8, 1, 2, 2), np.uint8), np.arange(4).repeat(2), tuple("abcd"))
    overrides = {"epochs": 2, "validate_every": 9, "batch.classes": 2, "batch.images": 2}
    [*Trainer(parts, load_recipe("quick", overrides), images, 0, lambda *_: 0.0).run()]
    return kept


def test_what_a_loss_draws_in_training_moves_nothing_else():
    few = drawn_in_training(["a", "b"], [1, 1])
    many = drawn_in_training(["b", "c", "a"], [5, 70, 9])
    assert len(set(few["backbone"])) == 4 and few["backbone"] == many["backbone"]
    assert few["a"] == many["a"] and few["b"] == many["b"] and few["a"] != few["b"]
    assert few["combiner"] == many["combiner"]
    alone = drawn_in_training(["a"], [2])
    assert alone["a"] == few["a"] and alone["backbone"] == few["backbone"]
