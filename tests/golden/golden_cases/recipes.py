"""What a recipe's values do: optimisers, schedules, batches, and other ways through a step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from dmlbench.data.sampler import ClassBalancedSampler, RandomSampler
from dmlbench.plan.schedule import Schedule
from golden_cases.case import FLOAT32, Case
from golden_cases.losses import build_loss
from golden_cases.training import CLASSES, recipe, train

LOSSES = ("triplet", "proxy-nca")
#: Ways to train that are no default of the other cases.
OPTIONS: dict[str, dict[str, Any]] = {
    "adam": {"optimizer.name": "adam", "optimizer.eps": 1e-3},
    "adamw": {"optimizer.name": "adamw", "optimizer.eps": 1e-3},
    "rmsprop": {"optimizer.name": "rmsprop", "optimizer.eps": 1e-2},
    "no clipping": {"optimizer.max_gradient_norm": 0.0},
    "micro-batches": {"batch.micro": 5},
    "resting backbone": {"frozen_epochs": 2},
    "still batch norm": {"freeze_batch_norm": True},
    "layer norm": {"layer_norm": True},
    "cosine": {"schedule.name": "cosine", "schedule.warmup_epochs": 1.0},
    "random batches": {"batch.sampler": "random", "batch.images": 2},
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "constant": {},
    "cosine": {"warmup_epochs": 0.5},
    "polynomial": {"decay_from": 0.25, "decay_to": 0.75, "power": 2.0, "final": 0.1},
    "step": {"milestones": (1, 3), "factor": 0.3},
    "plateau": {"patience": 1, "factor": 0.5},
}
EPOCHS, STEPS = 4, 3
VALIDATION = (0.2, 0.1, 0.3, 0.3)


def rates(name: str) -> dict[str, Any]:
    schedule = Schedule(name=name, **SCHEDULES[name])
    return {
        "factor": [
            schedule.rate(step, STEPS, EPOCHS, VALIDATION[: step // STEPS])
            for step in range(EPOCHS * STEPS)
        ]
    }


def batches() -> dict[str, Any]:
    """Two epochs' batches on classes of 1 to 7 images."""
    labels = np.repeat(np.arange(7), np.arange(1, 8))
    samplers = {
        "classes": ClassBalancedSampler(labels, 3, 2, seed=4),
        "random": RandomSampler(labels, 6, seed=4),
    }
    return {
        f"{name}, epoch {epoch}": [batch.tolist() for batch in sampler.batches(epoch)]
        for name, sampler in samplers.items()
        for epoch in (0, 1)
    }


def trained(option: str) -> dict[str, Any]:
    overrides = OPTIONS[option]
    recipe(overrides)  # a value that the recipe refuses is the case's own error
    return train([partial(build_loss, name) for name in LOSSES], overrides=overrides)


def cases() -> dict[str, Case]:
    assert CLASSES * 2 < 16  # random batches make two steps an epoch
    return {
        **{
            f"training, {name}": Case(
                partial(trained, name), tolerance=FLOAT32, numpy_draws="random" in name
            )
            for name in OPTIONS
        },
        **{f"schedule {name}": Case(partial(rates, name)) for name in SCHEDULES},
        "batches of the samplers": Case(batches, numpy_draws=True),
    }
