"""The parts of `gpu.py` that train in this process: input, and what determinism costs."""

from __future__ import annotations

import contextlib
import copy
import statistics
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from gpu import Bench


def trainer(bench: Bench, epochs: int, seed: int = 0) -> Any:
    """A training by `standard`: ResNet-50 at 224 pixels, images in memory."""
    import timm

    from dmlbench.combiners.fixed import EqualSum
    from dmlbench.data.images import ImageSet
    from dmlbench.data.transforms import TestTransform, TrainTransform
    from dmlbench.losses.multi_similarity import MultiSimilarityLoss
    from dmlbench.plan.recipe import load_recipe
    from dmlbench.training.model import EmbeddingModel
    from dmlbench.training.parts import TrainingModules
    from dmlbench.training.train import Trainer

    side, stored, classes, images, model = 224, 256, 100, 14, "resnet50"
    overrides: dict[str, Any] = {"epochs": epochs, "precision": "bfloat16", "frozen_epochs": 0}
    if bench.tiny:
        side, stored, classes, images, model = 32, 40, 8, 4, "resnet18"
        overrides |= {"input.size": side, "batch.classes": 4, "batch.images": 2}
    recipe = load_recipe("standard", overrides)
    torch.manual_seed(seed)
    backbone = timm.create_model(model, pretrained=False, num_classes=0)
    if recipe.channels_last:
        backbone.to(memory_format=torch.channels_last)
    shape = (side, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), recipe.channels_last)
    parts = TrainingModules(
        model=EmbeddingModel(backbone, [recipe.embedding_dim], recipe.layer_norm).to(bench.device),
        losses=nn.ModuleList([MultiSimilarityLoss()]).to(bench.device),
        loss_names=["multi-similarity"],
        combiner=EqualSum(1).to(bench.device),
        train_transform=TrainTransform(recipe.augment, *shape),
        test_transform=TestTransform(*shape),
        device=bench.device,
    )
    rng = np.random.default_rng(0)
    labels = np.arange(classes).repeat(images)
    pixels = rng.integers(0, 256, (len(labels), 3, stored, stored), dtype=np.uint8)
    train = ImageSet(pixels, labels, tuple(map(str, range(classes))))
    return Trainer(parts, recipe, train, seed, validate=None)


def images_a_second(bench: Bench, made: Any, strict: bool = False) -> float:
    """Of the epochs after the first. strict: steps may not wait for the device."""
    if strict:
        step = made._step

        def watched(*given: Any) -> None:
            # In the first epoch constants are sent to the device, which waits once.
            with bench.no_waiting() if made.progress.epoch else contextlib.nullcontext():
                step(*given)

        made._step = watched
    images = len(made.sampler) * made.recipe.batch.classes * made.recipe.batch.images
    took, ended = [], None
    for _ in made.run():
        bench.wait()
        now = time.perf_counter()
        if ended is not None:
            took.append(now - ended)
        ended = time.perf_counter()
    return images / statistics.median(took)


def bare_images_a_second(bench: Bench) -> float:
    """The same network, loss and optimiser on one batch that is on the device."""
    made = trainer(bench, 1)
    parts, recipe = made.parts, made.recipe
    count = recipe.batch.classes * recipe.batch.images
    side = recipe.input.size
    images = torch.randn(count, 3, side, side, device=bench.device)
    if recipe.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch.classes, device=bench.device).repeat_interleave(
        recipe.batch.images
    )
    for module in parts.modules().values():
        module.train()
    if recipe.freeze_batch_norm:
        parts.model.freeze_batch_norm()

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16, recipe.precision == "bfloat16"):
            features = parts.model.backbone(images)
        (embeddings,) = parts.model.embed(features.float())
        made.optimizer.zero_grad(set_to_none=True)
        parts.losses[0](embeddings, labels).backward()
        made.optimizer.step()

    return count / bench.seconds(step, 1 if bench.tiny else 10)


def measure_input(bench: Bench) -> None:
    """Images a second of a training, over those of a bare loop."""
    bare = bare_images_a_second(bench)
    ours = images_a_second(bench, trainer(bench, 4))
    images_a_second(bench, trainer(bench, 2), strict=True)
    bench.row(
        "input", "standard / bare loop", ours / bare, "at least 0.97",
        images_a_second=ours, bare_images_a_second=bare,
    )  # fmt: skip


def measure_determinism(bench: Bench) -> None:
    """What each choice costs, and whether the default gives the same weights twice."""
    from dmlbench.training.determinism import set_deterministic

    def choose(algorithms: bool, cudnn: bool, fill: bool) -> None:
        torch.use_deterministic_algorithms(algorithms, warn_only=True)
        torch.backends.cudnn.deterministic = cudnn
        torch.utils.deterministic.fill_uninitialized_memory = fill

    free = 0.0
    choices = {
        "nothing asked for": (False, False, False),
        "cuDNN alone": (False, True, False),
        "all, memory not filled (the default)": (True, True, False),
        "all, memory filled (torch's own)": (True, True, True),
    }
    for name, choice in choices.items():
        choose(*choice)
        rate = images_a_second(bench, trainer(bench, 3))
        free = free or rate
        held_to = "at least 0.95" if "default" in name else ""
        bench.row("determinism", name, rate / free, held_to, images_a_second=rate)
    set_deterministic(bench.device, True)
    weights = []
    for _ in range(2):
        made = trainer(bench, 2)
        for _ in made.run():
            pass
        state = copy.deepcopy(made.parts.model.state_dict())
        weights.append(torch.cat([one.double().flatten().cpu() for one in state.values()]))
    equal = float(torch.equal(*weights))
    bench.row("determinism", "two trainings, equal weights (1: yes)", equal, "at least 1")
    choose(False, False, True)
