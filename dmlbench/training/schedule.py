"""The factor on the learning rates over a run."""

from __future__ import annotations

import math

from dmlbench.plan.recipe import Recipe


def schedule_factor(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Factor on every learning rate at `step`, counted from 0 over the whole run."""
    total = recipe.epochs * steps_per_epoch
    warm = recipe.schedule.warmup_epochs * steps_per_epoch
    if step < warm:
        return (step + 1) / (warm + 1)
    if recipe.schedule.name == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
