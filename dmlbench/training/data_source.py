"""The data of a trial, phase by phase: training images first, the others once it has trained."""

from __future__ import annotations

import gc
from typing import Any

from dmlbench.data.training_data import TrainingData, training_data
from dmlbench.plan.config import Configuration
from dmlbench.plugins.components import create_dataset
from dmlbench.plugins.registry import Registry


class DataSource:
    """Where the data of a configuration's trials come from. It keeps the training images alone."""

    def __init__(self, configuration: Configuration, registry: Registry) -> None:
        self.configuration, self.registry = configuration, registry
        self._training: TrainingData | None = None

    def training(self) -> TrainingData:
        """What may be there while a trial trains. Raises `DmlbenchError`."""
        if self._training is None:
            self._training = training_data(self.whole())
            # A dataset that refers to itself would stay where a loss finds it.
            gc.collect()
        return self._training

    def whole(self) -> Any:
        """The dataset, test images included, loaded anew and stored at the recipe's size.

        Raises `DmlbenchError`, during a training phase `DatasetRefused`.
        """
        return create_dataset(
            self.registry,
            self.configuration.dataset.id,
            self.configuration.dataset.params,
            image_size=self.configuration.recipe.input.resize,
            whole_images=self.configuration.recipe.input.keep == "whole",
        )
