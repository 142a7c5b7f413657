"""Each kind of parameter learns at its own rate, with its own decay."""

import torch
from torch import nn

from dmlbench.combiners.wedl_c import CompressedEnsemble
from dmlbench.plan.recipe import load_recipe
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.optimizers import build_auxiliary_optimizer, parameter_groups
from dmlbench.training.parts import TrainingModules


class Backbone(nn.Linear):
    num_features = 3


def parts():
    loss = nn.Linear(2, 2)
    loss.learning_rate = 0.5
    return TrainingModules(
        EmbeddingModel(Backbone(4, 3), [2, 2]), nn.ModuleList([loss, nn.Linear(2, 2)]), ["a", "b"],
        CompressedEnsemble(2, 2, [2, 2]), None, None, torch.device("cpu"),
    )  # fmt: skip


def groups(recipe):
    return [
        (len(group["params"]), group["lr"], group["weight_decay"])
        for group in parameter_groups(parts(), recipe)
    ]


def test_the_weights_of_losses_decay_as_their_authors_have_it_in_recipe_paper_alone():
    paper = groups(load_recipe("paper"))
    assert paper == [
        (2, 1e-4, 1e-4), (4, 1e-3, 1e-4), (2, 0.5, 1e-4), (2, 1.5e-2, 1e-4), (1, 1e-4, 1e-4)
    ]  # fmt: skip
    assert groups(load_recipe("quick"))[-1][2] == 0.0


def test_what_is_trained_apart_has_the_eps_and_the_decay_of_the_recipe():
    options = build_auxiliary_optimizer(parts(), load_recipe("paper")).param_groups[0]
    assert (options["lr"], options["eps"], options["weight_decay"]) == (1e-3, 0.01, 1e-4)
    options = build_auxiliary_optimizer(parts(), load_recipe("quick")).param_groups[0]
    assert (options["lr"], options["eps"], options["weight_decay"]) == (1e-3, 1e-8, 0.0)
