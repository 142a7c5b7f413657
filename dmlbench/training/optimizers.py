"""The optimisers of a trial, and which parameters learn at which rate."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from dmlbench.plan.recipe import Recipe
from dmlbench.training.parts import TrainingModules


def parameter_groups(parts: TrainingModules, recipe: Recipe) -> list[dict[str, Any]]:
    """Backbone, heads, each loss and the combiner, with their learning rates."""
    rates, decay = recipe.optimizer, recipe.optimizer.weight_decay
    auxiliary = parts.combiner.auxiliary
    own = set(auxiliary.parameters()) if auxiliary is not None else set()
    groups = [
        (parts.model.backbone.parameters(), rates.backbone_lr, decay),
        (parts.model.heads.parameters(), rates.head_lr, decay),
        *((loss.parameters(), own_rate(loss) or rates.loss_lr, decay) for loss in parts.losses),
        (
            (p for p in parts.combiner.parameters() if p not in own),
            rates.combiner_lr,
            rates.combiner_weight_decay,
        ),
    ]
    listed = [
        {"params": [p for p in params if p.requires_grad], "lr": lr, "weight_decay": decay}
        for params, lr, decay in groups
    ]
    return [group for group in listed if group["params"]]


def own_rate(loss: nn.Module) -> float | None:
    """The rate that a loss sets for its own parameters; None without them, or for the recipe's."""
    rate = getattr(loss, "learning_rate", None)
    has_some = any(parameter.requires_grad for parameter in loss.parameters())
    return None if rate is None or not has_some else float(rate)


def build_optimizer(parts: TrainingModules, recipe: Recipe) -> torch.optim.Optimizer:
    """The optimiser of everything but the combiner's `auxiliary`."""
    options, groups = recipe.optimizer, parameter_groups(parts, recipe)
    if options.name == "sgd":
        return torch.optim.SGD(groups, momentum=options.momentum)
    if options.name == "rmsprop":
        return torch.optim.RMSprop(groups, momentum=options.momentum, eps=options.eps)
    if options.name == "adam":
        return torch.optim.Adam(groups, eps=options.eps, fused=True)
    return torch.optim.AdamW(groups, eps=options.eps, fused=True)


def build_auxiliary_optimizer(
    parts: TrainingModules, recipe: Recipe
) -> torch.optim.Optimizer | None:
    """The optimiser of the combiner's `auxiliary`, where it has one."""
    auxiliary = parts.combiner.auxiliary
    if auxiliary is None:
        return None
    options = recipe.optimizer
    return torch.optim.Adam(
        auxiliary.parameters(),
        lr=options.auxiliary_lr,
        eps=options.eps,
        weight_decay=options.auxiliary_weight_decay,
    )
