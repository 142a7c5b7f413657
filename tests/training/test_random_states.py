"""Configurations of one seed start with the same weights wherever they have the same parts."""

import numpy as np
import torch

from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.training.build import build
from dmlbench.training.random_states import seed_for
from dmlbench.training.trial import load_data


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
    dataset = load_data(configuration, registry)
    return build(configuration, registry, dataset, torch.device("cpu"), seed).parts


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
