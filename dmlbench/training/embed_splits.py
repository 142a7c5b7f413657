"""Test images to embeddings: by the chosen state, built again, that no other image can help.

Legend: N test items, G gallery items, D embedding dimension.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dmlbench.data.class_splits import ClassSplit
from dmlbench.data.images import image_sets
from dmlbench.data.training_data import TrainingData
from dmlbench.errors import TrialFailure
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.training.build import BuiltTrial, Emit, build
from dmlbench.training.context import PROBES_OF_A_TEST, check_context
from dmlbench.training.embed import embed_images
from dmlbench.training.failures import own_work
from dmlbench.training.random_states import generator_for


@dataclass(frozen=True)
class Subject:
    """What is tested.

    state: of each module, as `TrainingModules.modules` names them.
    """

    configuration: Configuration
    registry: Registry
    data: TrainingData
    seed: int
    device: torch.device
    state: Mapping[str, Mapping[str, Tensor]]

    def built(self, emit: Emit = lambda kind, values: None) -> BuiltTrial:
        """The tested state in modules that nothing was embedded by yet."""
        refit = self.configuration.protocol.refit
        built = build(
            self.configuration, self.registry, self.data, self.device, self.seed, emit, refit
        )
        with own_work():
            for name, module in built.parts.modules().items():
                module.load_state_dict(self.state[name])
        return built


def embed_splits(subject: Subject, built: BuiltTrial, dataset: Any) -> dict[str, Tensor]:
    """``embeddings`` (N, D) and ``labels`` (N,), and the same of a gallery, (G, D) and (G,).

    Of a random class split also ``classes`` (C,), as `ClassSplit.test_classes`.
    """
    protocol, recipe = subject.configuration.protocol, subject.configuration.recipe
    fresh = None
    tensors = {}
    for split, given in image_sets(dataset):
        if split == "train":
            continue
        images = built.images(split, given)
        generator = generator_for(subject.seed, f"embedding order {split}")
        embedded = embed_images(built.parts, recipe, images, generator, PROBES_OF_A_TEST)
        what = "embeddings" if split == "test" else split
        if not bool(embedded.embeddings.isfinite().all()):
            raise TrialFailure(f"the test {what} are not finite, although every loss was")
        if not protocol.transductive:
            # Built again, so it remembers nothing of what it embedded in company.
            fresh = fresh or subject.built().parts
            check_context(embedded, fresh, recipe, images, split)
        tensors[what] = embedded.embeddings
        tensors["labels" if split == "test" else f"{split}_labels"] = torch.as_tensor(given.labels)
    if isinstance(dataset, ClassSplit):
        tensors["classes"] = torch.as_tensor(dataset.test_classes)
    return tensors
