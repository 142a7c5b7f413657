"""The combiners' conformance kit: every built-in passes, every way to break one is caught."""

from __future__ import annotations

import importlib
import random

import pytest
import torch
from torch import nn

from dmlbench.combiners import COMBINERS
from dmlbench.combiners.base import Combiner
from dmlbench.testing import COMBINER_CHECKS, check_combiner

NEEDS_CUDA = {"moves-to-cuda", "cuda-agrees-with-cpu"}
# What a combiner does not have cannot be checked.
WITHOUT = {
    "sum": {"own-parameters", "auxiliary"},
    "equalised": {"own-parameters", "auxiliary"},
    "fixed": {"own-parameters", "number-of-losses", "auxiliary"},
    "wel": {"auxiliary"},
    "wedl": {"auxiliary"},
    "wedl-c": set(),
    "uncertainty": {"auxiliary"},
    "dwa": {"own-parameters", "auxiliary"},
    "rlw": {"own-parameters", "weights", "auxiliary"},
    "gradnorm": {"auxiliary"},
    "pcgrad": {"own-parameters", "weights", "auxiliary"},
    "mgda-ub": {"own-parameters", "auxiliary"},
}


def failures(factory, **options):
    return {r.name: r.reason for r in check_combiner(factory, **options) if r.outcome == "failed"}


@pytest.mark.parametrize("spec", COMBINERS, ids=lambda spec: spec.name)
def test_built_in_combiner_conforms(spec):
    module, _, name = spec.target.partition(":")
    results = check_combiner(getattr(importlib.import_module(module), name))
    assert [r for r in results if r.outcome == "failed"] == []
    skipped = {r.name for r in results if r.outcome == "skipped"}
    assert skipped == WITHOUT[spec.name] | (set() if torch.cuda.is_available() else NEEDS_CUDA)


class Good(Combiner):
    """Learned weights, and a network beside them: the smallest combiner that has every part."""

    def __init__(self, num_losses, embedding_dim, head_dims):
        super().__init__(num_losses)
        self.raw = nn.Parameter(torch.rand(num_losses))
        self.auxiliary = nn.Linear(sum(head_dims), embedding_dim)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, losses, heads):
        self.steps += 1
        return (losses / losses.detach().clamp(min=1e-3) * self.weights_now()).sum()

    def weights_now(self):
        return self.raw.softmax(0)

    def embed(self, heads):
        return self.auxiliary(super().embed(heads))

    def weights(self):
        return self.weights_now().detach()

    def auxiliary_loss(self, heads):
        return (self.embed(heads) - 1).square().mean()


class Surgeon(Good):
    combines_gradients = True

    def combine_gradients(self, gradients, losses):
        return gradients.mean(0)


class Vector(Good):
    def forward(self, losses, heads):
        return super().forward(losses, heads) * losses


class OneLossOnly(Good):
    def forward(self, losses, heads):
        return super().forward(losses[:1].repeat(self.num_losses), heads)


class Unused(Good):
    def __init__(self, num_losses, embedding_dim, head_dims):
        super().__init__(num_losses, embedding_dim, head_dims)
        self.spare = nn.Parameter(torch.ones(1))


class Pairs(Good):
    def forward(self, losses, heads):
        return super().forward(losses, heads) + 0 * losses[1]


class Divides(Good):
    def forward(self, losses, heads):
        return (losses / losses.detach() * self.weights_now()).sum()


class Squares(Good):
    def forward(self, losses, heads):
        return (losses**12 * self.weights_now()).sum()


class TooLarge(Good):
    def embed(self, heads):
        return torch.cat([super().embed(heads)] * 2, dim=1)


class LooksAround(Good):
    def embed(self, heads):
        embedded = super().embed(heads)
        return embedded - embedded.mean(dim=0)


class Counts(Good):
    def embed(self, heads):
        self.steps += 1
        return super().embed(heads)


class DrawsToEmbed(Good):
    def embed(self, heads):
        return super().embed(heads) + 0 * torch.rand(())


class WeightsAttached(Good):
    def weights(self):
        return self.weights_now()


class TooManyWeights(Good):
    def weights(self):
        return super().weights().repeat(2)


class WritesLosses(Good):
    def forward(self, losses, heads):
        value = super().forward(losses, heads)
        losses.data.mul_(2)
        return value


class WritesHeads(Good):
    def embed(self, heads):
        value = super().embed(heads)
        heads[0].data.zero_()
        return value


class OwnDice(Good):
    dice = random.Random(0)

    def forward(self, losses, heads):
        return super().forward(losses * self.dice.random(), heads) * (1 + self.dice.random())


class PlainTensor(Good):
    def end_epoch(self):
        self.last = self.weights()


class Forgets(Good):
    def __init__(self, num_losses, embedding_dim, head_dims):
        super().__init__(num_losses, embedding_dim, head_dims)
        self.count = 0

    def forward(self, losses, heads):
        self.count += 1
        return super().forward(losses, heads) * self.count


class TrainsHeads(Good):
    def auxiliary_loss(self, heads):
        return super().auxiliary_loss(heads) + 0 * self.raw.sum()


class Grows(Good):
    def auxiliary_loss(self, heads):
        value = super().auxiliary_loss(heads)
        return 2 * value.detach() - value


class Climbs(Good):
    def forward(self, losses, heads):
        return 9 - super().forward(losses, heads)


class WrongGradient(Surgeon):
    def combine_gradients(self, gradients, losses):
        return gradients


class InfiniteGradient(Surgeon):
    def combine_gradients(self, gradients, losses):
        return gradients.mean(0) / 0


BROKEN = [
    (Vector, "scalar", "shape (3,)"),
    (WrongGradient, "scalar", "combine_gradients gave the shape (3, 24, 12)"),
    (InfiniteGradient, "scalar", "gradient on features is not finite"),
    (OneLossOnly, "gradient", "no gradient reaches proxies.1"),
    (Unused, "own-parameters", "spare"),
    (Pairs, "number-of-losses", "IndexError"),
    (Divides, "zero-losses", "nan"),
    (Squares, "sizes-of-losses", "inf"),
    (TooLarge, "embedding-dimension", "shape (24, 32) under a budget of 16"),
    (LooksAround, "embeds-row-by-row", "rest of its batch"),
    (Counts, "embedding-leaves-state", "embed changed steps"),
    (DrawsToEmbed, "embedding-leaves-state", "random state of torch"),
    (WeightsAttached, "weights", "not detached"),
    (TooManyWeights, "weights", "shape (6,)"),
    (WritesLosses, "inputs-unchanged", "losses were changed"),
    (WritesHeads, "inputs-unchanged", "heads were changed"),
    (OwnDice, "repeatable", "same seeds differ"),
    (PlainTensor, "moves-with-to", "last is a tensor"),
    (Forgets, "state-dict", "after load_state_dict"),
    (TrainsHeads, "auxiliary", "gradient on combiner.raw"),
    (Grows, "auxiliary", "20 steps took auxiliary_loss"),
    (Climbs, "smoke-training", "20 steps of training"),
]


def test_the_old_name_of_a_check_is_read_with_a_warning():
    with pytest.warns(DeprecationWarning, match="embedding-dimension"):
        found = check_combiner(TooLarge, expected_failures={"embedding-width": "by design"})
    assert {r.name for r in found if r.outcome == "failed"} == set()


@pytest.mark.parametrize("combiner", [Good, Surgeon])
def test_good_combiner_passes_every_check(combiner):
    assert failures(combiner) == {}


@pytest.mark.parametrize(
    ("combiner", "name", "reason"), BROKEN, ids=lambda value: getattr(value, "__name__", None)
)
def test_broken_combiner_is_caught_by_the_check_of_that_name(combiner, name, reason):
    found = failures(combiner)
    assert name in found, found
    assert reason in found[name]


def test_every_check_has_a_combiner_that_it_catches():
    assert {*COMBINER_CHECKS} - {name for _, name, _ in BROKEN} == NEEDS_CUDA


def test_parameters_reach_the_combiner_and_bind_the_number_of_losses():
    class Weighted(Good):
        def __init__(self, num_losses, embedding_dim, head_dims, weights):
            super().__init__(num_losses, embedding_dim, head_dims)
            if len(weights) != num_losses:
                raise ValueError(f"{len(weights)} weights for {num_losses} losses")

    results = check_combiner(Weighted, params={"weights": [1, 2, 3]})
    assert [r for r in results if r.outcome == "failed"] == []
    (skipped,) = [r for r in results if r.name == "number-of-losses"]
    assert skipped.reason == "its parameters are for 3 losses: 3 weights for 1 losses"
    assert "weights" in failures(Weighted)["scalar"]
