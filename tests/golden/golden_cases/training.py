"""Three steps of dmlbench's own training on sixteen images, in float32."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.combiners.base import Combiner
from dmlbench.combiners.fixed import EqualSum
from dmlbench.data.images import ImageSet
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.plan.recipe import Recipe, recipe_from_json
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.train import Trainer
from golden_cases.case import weights_to_be_replaced
from golden_cases.inputs import fix_weights, summary, uniform

CLASSES, IMAGES, SIZE, WIDTH = 4, 4, 8, 9
BuildLoss = Callable[..., nn.Module]
BuildCombiner = Callable[..., Combiner]

#: One step an epoch, so that what a combiner does after an epoch is seen; every value is given,
#: so that a default, which has a case of its own, is none of this one's business.
RECIPE = {
    "name": "golden",
    "embedding_dim": WIDTH,
    "epochs": 3,
    "channels_last": False,
    "batch": {"classes": CLASSES, "images": IMAGES, "micro": 0, "sampler": "classes"},
    "optimizer": {
        "name": "sgd",
        "backbone_lr": 0.02,
        "head_lr": 0.03,
        "loss_lr": 0.04,
        "combiner_lr": 0.01,
        "auxiliary_lr": 0.001,
        "weight_decay": 0.01,
        "combiner_weight_decay": 0.0,
        "momentum": 0.9,
        "max_gradient_norm": 1.0,
    },
    "schedule": {"name": "constant", "warmup_epochs": 0.0},
    "input": {"size": SIZE, "resize": SIZE},
}


class Backbone(nn.Module):
    """Linear, batch normalisation, tanh: (B, 3, S, S) -> (B, 12)."""

    num_features = 12

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * SIZE * SIZE, self.num_features, bias=False)
        self.norm = nn.BatchNorm1d(self.num_features)

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.linear(images.flatten(1))).tanh()


def recipe(overrides: dict[str, Any] | None = None) -> Recipe:
    return recipe_from_json(RECIPE, overrides)


def images() -> ImageSet:
    """Sixteen grey images whose classes can be told apart."""
    labels = np.repeat(np.arange(CLASSES), IMAGES)
    centres = uniform("class images", CLASSES, 1, SIZE, SIZE)
    pixels = 0.5 * centres[labels] + 0.5 * uniform("images", len(labels), 1, SIZE, SIZE)
    names = tuple(f"class {label}" for label in range(CLASSES))
    return ImageSet((127.5 + 127.5 * pixels).astype(np.uint8), labels, names)


def train(
    losses: Sequence[BuildLoss],
    combiner: BuildCombiner = EqualSum,
    overrides: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """How far three steps move every module's weights, and what the epochs record.

    losses: each called with num_classes, width and num_features.
    combiner: called with num_losses, and head_dims and embedding_dim where it asks for them.
    """
    chosen = recipe(overrides)
    head_dims = _class_of(combiner).head_dims(WIDTH, len(losses), "total")
    dims = head_dims * len(losses) if len(head_dims) == 1 else head_dims
    with weights_to_be_replaced():
        model = EmbeddingModel(Backbone(), head_dims, chosen.layer_norm)
    fix_weights(model)
    joined = build_combiner(combiner, len(losses), head_dims, WIDTH)
    built = [
        build(num_classes=CLASSES, width=dim, num_features=Backbone.num_features)
        for build, dim in zip(losses, dims, strict=True)
    ]
    shape = (SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), False)
    parts = TrainingModules(
        model=model,
        losses=nn.ModuleList(built),
        loss_names=[str(index) for index in range(len(losses))],
        combiner=joined,
        train_transform=TrainTransform(chosen.augment, *shape),
        test_transform=TestTransform(*shape),
        device=torch.device("cpu"),
    )
    before = _states(parts)
    trainer = Trainer(parts, chosen, images(), 0, lambda epoch: 0.5)
    history = list(trainer.run())
    after = _states(parts)
    found: dict[str, Any] = {"objective": [record["objective"] for record in history]}
    if len(losses) > 1:
        found["losses"] = [value for record in history for value in record["losses"]]
    if len(losses) > 1 and history[0]["weights"] is not None:
        found["weights"] = [value for record in history for value in record["weights"]]
    for name in sorted(before):
        change = after[name].double() - before[name].double()
        if bool(change.any()):
            found[f"change of {name}"] = summary(change)
    return found


def build_combiner(
    combiner: BuildCombiner, num_losses: int, head_dims: list[int], width: int
) -> Combiner:
    """A combiner with fixed weights, given what its signature asks for."""
    offers = {"num_losses": num_losses, "head_dims": head_dims, "embedding_dim": width}
    asked = inspect.signature(combiner).parameters
    with weights_to_be_replaced():
        built = combiner(**{key: value for key, value in offers.items() if key in asked})
    if built.auxiliary is not None:
        fix_weights(built.auxiliary)
    return built


def _class_of(combiner: BuildCombiner) -> type[Combiner]:
    return getattr(combiner, "func", combiner)


def _states(parts: TrainingModules) -> dict[str, Tensor]:
    """Everything that a checkpoint holds of the modules and that training moves, by name."""
    return {
        f"{module_name} {name}": value.clone()
        for module_name, module in parts.modules().items()
        for name, value in module.state_dict().items()
        if value.is_floating_point()
    }
