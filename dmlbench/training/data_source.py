"""The data of a trial, phase by phase: training images first, the others once it has trained."""

from __future__ import annotations

import gc
from typing import Any

from dmlbench.data.class_splits import ClassSplit
from dmlbench.data.training_data import TrainingData, training_data
from dmlbench.plan.config import Configuration
from dmlbench.plugins.components import create_dataset
from dmlbench.plugins.registry import Registry


class DataSource:
    """Where the data of a configuration's trials come from. It keeps the training images alone.

    split: of the dataset's classes; 0 is its own (`dmlbench.data.class_splits`).
    """

    def __init__(self, configuration: Configuration, registry: Registry, split: int = 0) -> None:
        self.configuration, self.registry, self.split = configuration, registry, split
        self._training: TrainingData | None = None

    def training(self) -> TrainingData:
        """What may be there while a trial trains. Raises `DmlbenchError`."""
        if self._training is None:
            own = self._own()
            self._training = training_data(own, self._divided(own) if self.split else None)
            # A dataset that refers to itself would stay where a loss finds it.
            del own
            gc.collect()
        return self._training

    def whole(self) -> Any:
        """The data on this split, test images included, loaded again at the recipe's size.

        Raises `DmlbenchError`, during a training phase `DatasetRefused`.
        """
        own = self._own()
        return self._divided(own) if self.split else own

    def _divided(self, own: Any) -> ClassSplit:
        return ClassSplit(own, self.split, self.configuration.dataset.id)

    def _own(self) -> Any:
        return create_dataset(
            self.registry,
            self.configuration.dataset.id,
            self.configuration.dataset.params,
            image_size=self.configuration.recipe.input.resize,
            whole_images=self.configuration.recipe.input.keep == "whole",
        )
