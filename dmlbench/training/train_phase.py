"""What happens before the test: the training by which the epoch is chosen and, to refit, another.

Both write a checkpoint after every epoch, and go on from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmlbench.data.subset import subset
from dmlbench.data.training_data import TrainingData
from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.trial_result import TrialMetadata
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.training.build import BuiltTrial, Emit, build, training_split
from dmlbench.training.checkpoint import (
    DamagedCheckpoint,
    keep_damaged,
    read_checkpoint,
    write_checkpoint,
)
from dmlbench.training.environment import peak_memory_bytes
from dmlbench.training.optimizers import own_rate
from dmlbench.training.random_states import generator_for
from dmlbench.training.reduction import evaluated_dim, fit_reduction
from dmlbench.training.train import Trainer, TrainingProgress, validation_map_at_r
from dmlbench.training.trained import Trained, cost_of, course_of
from dmlbench.training.trial_folder import TrialFolder


@dataclass
class TrainPhase:
    """A trial while it trains.

    metadata: what the entry says of data and model, once they are built.
    """

    configuration: Configuration
    seed: int
    registry: Registry
    data: TrainingData
    folder: TrialFolder
    device: torch.device
    emit: Emit
    metadata: TrialMetadata | None = None

    def run(self) -> Trained:
        """Train as often as the protocol says. Raises `TrialFailure`."""
        trainer = self.choose()
        first, again = trainer.progress, None
        if self.configuration.protocol.refit:
            del trainer
            trainer = self._refit(first)
            again = trainer.progress
        state = trainer.progress.best_state
        fit_reduction(trainer.parts, trainer.recipe, trainer.train_set, state)
        return Trained(
            state=state,
            metadata=self.metadata.model_dump(),
            fingerprint=self.data.fingerprint,
            course=course_of(first, again),
            cost=cost_of(first, again, self.device.type == "cpu"),
            peak=peak_memory_bytes(self.device),
        )

    def choose(self) -> Trainer:
        """Train without the classes that are held out, by which the epoch is chosen."""
        configuration, seed, protocol = self.configuration, self.seed, self.configuration.protocol
        built = build(configuration, self.registry, self.data, self.device, seed, self.emit)
        self.metadata = _metadata(built, self.data)
        images = built.images("train", self.data.train)
        train, held_out = training_split(configuration, images, seed)

        def validate(epoch: int) -> float:
            generator = generator_for(seed, f"validation {epoch}")
            return validation_map_at_r(
                built.parts, configuration.recipe, held_out, generator, protocol
            )

        trainer = Trainer(built.parts, configuration.recipe, train, seed, validate)
        self._train(trainer, self.folder.checkpoint_file, ("trial_started", "epoch_finished"))
        return trainer

    def _refit(self, first: TrainingProgress) -> Trainer:
        """Train again from the start, on all training classes, for the chosen number of epochs."""
        recipe, seed = self.configuration.recipe, self.seed
        built = build(
            self.configuration, self.registry, self.data, self.device, seed, self.emit, refit=True
        )
        images = built.images("train", self.data.train)
        # As the first training numbers its classes.
        train = subset(images, np.arange(len(images)))
        trainer = Trainer(built.parts, recipe, train, seed, validate=None, again=first)
        self._train(trainer, self.folder.refit_file, ("refit_started", "refit_epoch_finished"))
        return trainer

    def _train(self, trainer: Trainer, checkpoint: Path, events: tuple[str, str]) -> None:
        """Train to the end, a checkpoint after every epoch."""
        made_for = {"metadata": self.metadata.model_dump(), "epochs": trainer.epochs}
        state = self._checkpoint(checkpoint, made_for)
        if state is not None:
            trainer.load_state_dict(state)
        started, epoch_finished = events
        self.emit(started, {"epoch": trainer.progress.epoch, "epochs": trainer.epochs})
        for record in trainer.run():
            self.folder.end_if_forked()
            write_checkpoint(checkpoint, {**trainer.state_dict(), "made_for": made_for})
            self.emit(epoch_finished, record)

    def _checkpoint(self, path: Path, made_for: dict[str, Any]) -> dict[str, Any] | None:
        """The state to go on from; None where there is none of these data, weights and epochs."""
        try:
            state = read_checkpoint(path, self.device)
        except DamagedCheckpoint as error:
            print(f"{error}; it is kept as {keep_damaged(path)}, and training begins")
            return None
        if state is None:
            return None
        before = state.pop("made_for", None) or {}
        if "facts" in before:  # their name before 0.2
            before["metadata"] = before.pop("facts")
        if before == made_for:
            return state
        print("the data or the weights have changed since the checkpoint; training from the start")
        return None


def _metadata(built: BuiltTrial, data: TrainingData) -> TrialMetadata:
    """What the entry says of data and model; the same for every seed."""
    parts = built.parts
    blank = torch.zeros(1, parts.model.backbone.num_features, device=parts.device)
    heads = parts.model.embed(blank)
    return TrialMetadata(
        dataset=DatasetMetadata(**data.metadata),
        backbone=built.backbone_metadata,
        embedding_dim=evaluated_dim(parts.combiner, heads),
        head_dims=[head.shape[1] for head in heads],
        head_parameters=parts.head_parameters(),
        loss_rates=[own_rate(loss) for loss in parts.losses],
    )
