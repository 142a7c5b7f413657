"""Every built-in loss: values and gradients on two batches, and three steps of training."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dmlbench.hookspecs import LossSpec
from dmlbench.losses import LOSSES
from dmlbench.training.step import loss_input
from golden_cases.case import FLOAT32, Case, weights_to_be_replaced
from golden_cases.inputs import fix_weights, summary, tensor
from golden_cases.training import train

NUM_CLASSES, WIDTH = 8, 10
BATCHES = {
    "equal classes": [0] * 4 + [1] * 4 + [2] * 4 + [5] * 4,
    "unequal classes": [0] * 6 + [1] * 5 + [2] * 2 + [3, 4, 5],
}
#: Options that are a method of their own.
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "triplet": [
        {"mining": "hard"},
        {"mining": "semi-hard"},
        {"mining": "batch-hard"},
        {"squared": True},
        {"margin": 0.4},
        {"mining": "semi-hard", "margin": 1.0, "mining_margin": 0.1},
    ],
    "multi-similarity": [{"mining": False}],
    "margin": [
        {"mining": "all"},
        {"mining": "all", "learn_beta": False, "class_beta": False},
        {"class_beta": False, "nu": 0.1},
    ],
    "cross-batch-memory": [
        {"start": 0, "memory_size": 24},
        {"start": 1, "memory_size": 24, "weight": 0.5},
        {"start": 0, "loss": "contrastive", "batch_loss": False},
        {"start": 0, "loss": "triplet", "memory_size": 24},
        {"start": 0, "loss": "multi-similarity", "memory_size": 24},
    ],
    "n-pairs": [{"scale": 16.0}],
    "angular": [{"n_pairs": True}],
    "soft-triple": [{"tau": 0.0}],
    "lifted-structure": [{"scale": 8.0, "l2_weight": 0.1}],
    "proxy-nca": [{"smoothing": 0.1}],
    "cross-entropy": [{"smoothing": 0.0}, {"on": "features"}],
    "recall-at-k-surrogate": [{"ks": (4,)}],
}


def named(name: str, parameters: dict[str, Any]) -> str:
    """A component with its parameters, as the command line has it."""
    given = ", ".join(f"{key}={value}" for key, value in parameters.items())
    return f"{name}({given})" if given else name


def build_loss(
    name: str,
    num_classes: int = NUM_CLASSES,
    width: int = WIDTH,
    num_features: int = WIDTH,
    **given,
) -> nn.Module:
    """A built-in loss with fixed weights."""
    (spec,) = (spec for spec in LOSSES if spec.name == name)
    module, _, attribute = spec.target.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    offers = {"num_classes": num_classes, "embedding_dim": width, "num_features": num_features}
    asked = inspect.signature(found).parameters
    with weights_to_be_replaced():
        loss = found(**given, **{key: value for key, value in offers.items() if key in asked})
    fix_weights(loss)
    return loss


def embeddings(batch: str, labels: list[int]) -> Tensor:
    """Rows that lie near those of their class: (B, WIDTH) float64, of different lengths."""
    centres = tensor("centres", NUM_CLASSES, WIDTH)
    return 0.6 * centres[labels] + tensor(batch, len(labels), WIDTH)


def values_and_gradients(spec: LossSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    loss = build_loss(spec.name, **parameters).double()
    found = {}
    for batch, labels in BATCHES.items():
        rows = embeddings(batch, labels)
        leaf = rows if loss_input(loss) != "embeddings" else functional.normalize(rows)
        leaf.requires_grad_()
        value = loss(leaf, torch.tensor(labels))
        loss.zero_grad(set_to_none=True)
        value.backward()
        found[f"value, {batch}"] = [value.item()]
        found[f"gradient, {batch}"] = summary(leaf.grad)
        for name, parameter in loss.named_parameters():
            found[f"gradient of {name}, {batch}"] = summary(parameter.grad)
    return found


def three_steps(spec: LossSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    return train([partial(build_loss, spec.name, **parameters)])


def cases() -> dict[str, Case]:
    found = {}
    for spec in LOSSES:
        for parameters in ({}, *VARIANTS.get(spec.name, [])):
            name = named(spec.name, parameters)
            found[f"loss {name}"] = Case(partial(values_and_gradients, spec, parameters))
            found[f"loss {name}, three steps"] = Case(
                partial(three_steps, spec, parameters), tolerance=FLOAT32
            )
    return found
