"""What training starts from: first weights by seed, and a trial of the default recipe."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from dmlbench.plan.config import Configuration
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plugins.loading import load_plugins
from dmlbench.training.build import build, training_split
from dmlbench.training.data_source import DataSource
from dmlbench.training.random_states import generator_for
from dmlbench.training.train import Trainer, validation_map_at_r
from golden_cases.case import Case
from golden_cases.inputs import summary

#: Random weights are compared one by one; nothing is computed on the way that could round.
EXACT = 1e-6
#: Convolutions in float32 and a first step of AdamW, which rounding can turn round where a
#: gradient is nearly zero.
TRIAL = 0.01
DATASET = "glyphs(classes=12, images_per_class=4)"
SMALL = {"recipe.batch.classes": 4, "recipe.batch.images": 2, "recipe.epochs": 5}


def configuration(losses: tuple[str, ...], combiner: str | None) -> Configuration:
    request = Request(
        losses=losses,
        combiners=[combiner] if combiner else [],
        singles=combiner is None,
        dataset=DATASET,
        overrides=SMALL,
    )
    (found,) = configurations_of(request, load_plugins())
    return found


def first_weights(losses: tuple[str, ...], combiner: str | None) -> dict[str, Any]:
    chosen = configuration(losses, combiner)
    registry = load_plugins()
    data = DataSource(chosen, registry).training()
    built = build(chosen, registry, data, torch.device("cpu"), seed=3)
    modules: dict[str, nn.Module] = {
        "backbone": built.parts.model.backbone,
        "heads": built.parts.model.heads,
        **{name: loss for name, loss in zip(losses, built.parts.losses, strict=True)},
        "combiner": built.parts.combiner,
    }
    found = {}
    for name, module in modules.items():
        values = [parameter.flatten() for parameter in module.parameters()]
        if values:
            found[name] = summary(torch.cat(values))
    return found


def trial() -> dict[str, Any]:
    """A trial of the recipe quick, cut short: what every epoch records."""
    chosen = configuration(("triplet", "proxy-nca"), "wedl")
    registry = load_plugins()
    data = DataSource(chosen, registry).training()
    parts = build(chosen, registry, data, torch.device("cpu"), seed=0).parts
    train, held_out = training_split(chosen, data.train, seed=0)
    recipe = chosen.recipe

    def validate(epoch: int) -> float:
        generator = generator_for(0, f"validation {epoch}")
        return validation_map_at_r(parts, recipe, held_out, generator, chosen.protocol)

    trainer = Trainer(parts, recipe, train, 0, validate)
    records = list(trainer.run())
    return {
        "held out": held_out.class_names,
        "objective": [record["objective"] for record in records],
        "losses": [value for record in records for value in record["losses"]],
        "weights": [value for record in records for value in record["weights"]],
        "rate": [record["learning_rate"] for record in records],
    }


def cases() -> dict[str, Case]:
    with_weights = ("triplet", "proxy-anchor", "proxy-nca", "norm-softmax", "cross-entropy")
    more = ("cosface", "arcface", "subcenter-arcface", "soft-triple")
    starts = {
        "first weights, one embedding": (with_weights, "sum"),
        "first weights, more losses": (("triplet", *more), "wel"),
        "first weights, a head each": (("triplet", "proxy-nca"), "wedl-c"),
        "first weights, one loss": (("proxy-nca",), None),
    }
    return {
        **{
            name: Case(partial(first_weights, *given), tolerance=EXACT, numpy_draws=True)
            for name, given in starts.items()
        },
        "trial of the recipe quick": Case(trial, tolerance=TRIAL, numpy_draws=True),
    }
