"""The one training loop.

A run is a pure function of its inputs and the seed: the random state is set again at the start of
every epoch from (seed, epoch), so a checkpoint needs no random state and a resumed run gives
the numbers of an uninterrupted one.
Legend: B batch, F feature dimension, D embedding dimension, M losses.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.data import devices
from dmlbench.data.images import ImageSet
from dmlbench.data.sampler import ClassBalancedSampler, RandomSampler
from dmlbench.errors import TrialFailure
from dmlbench.losses.host_labels import note_labels
from dmlbench.plan.protocol import Protocol
from dmlbench.plan.recipe import Recipe
from dmlbench.training import heartbeat
from dmlbench.training.backbone_pass import BackbonePass
from dmlbench.training.context import PROBES_OF_A_VALIDATION, check_context
from dmlbench.training.embed import embed_images
from dmlbench.training.failures import own_work
from dmlbench.training.input_stream import Batch, batches
from dmlbench.training.optimizers import build_auxiliary_optimizer, build_optimizer
from dmlbench.training.parts import TrainingModules
from dmlbench.training.random_states import seed_epoch, seed_step
from dmlbench.training.step import choose_backward, forward, objective_of
from dmlbench.training.step_values import StepValues, check_finite


@dataclass
class TrainingProgress:
    """How far training is; with the modules and optimisers, all that a checkpoint holds."""

    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = -1.0
    best_state: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    train_seconds: float = 0.0
    process_seconds: float = 0.0


class Trainer:
    """Trains `parts` on a set of images and keeps the state with the best validation MAP@R.

    train: training images with labels in [0, C).
    validate: number of finished epochs -> MAP@R of the current state on held-out classes; None
        where none are held out, and the last state is kept.
    again: the first training, of which this one repeats the epochs up to its best; None for a first
        one. Learning rates are those of its epochs: the schedule is cut, not shortened, and where
        it follows the validation that is the validation of then.
    """

    def __init__(
        self,
        parts: TrainingModules,
        recipe: Recipe,
        train: ImageSet,
        seed: int,
        validate: Callable[[int], float] | None,
        again: TrainingProgress | None = None,
    ) -> None:
        self.parts, self.recipe, self.train_set, self.seed = parts, recipe, train, seed
        self.validate, self.again = validate, again
        self.epochs = recipe.epochs if again is None else again.best_epoch
        self.sampler = _sampler(recipe, train.labels, seed)
        self.labels = np.asarray(train.labels, dtype=np.int64)
        self.backward = choose_backward(parts)
        names = list(parts.loss_names)
        # By its name, not its place: an ensemble's loss draws what the loss alone draws.
        self.loss_names = [f"loss {n} {names[:i].count(n)}" for i, n in enumerate(names)]
        self.backbone_parameters = [p for p in parts.model.backbone.parameters() if p.requires_grad]
        self.optimizer = build_optimizer(parts, recipe)
        self.base_lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.auxiliary_optimizer = build_auxiliary_optimizer(parts, recipe)
        self.progress = TrainingProgress()
        self.learns = False

    def run(self) -> Iterator[dict[str, Any]]:
        """Train the epochs that are left, yielding each epoch's record once it is finished.

        Raises `NotFinite` when a loss becomes NaN or infinite, and `TrialFailure` in place of the
        last record where the objective was 0 in every epoch and no batch gave a gradient.
        """
        while self.progress.epoch < self.epochs:
            started, used = time.perf_counter(), time.process_time()
            record = self._epoch(self.progress.epoch)
            self.progress.epoch += 1
            last = self.progress.epoch == self.epochs
            if self.validate is None:
                if last:
                    self._keep(record)
            elif last or self.progress.epoch % self.recipe.validate_every == 0:
                record["validation_map_at_r"] = self.validate(self.progress.epoch)
                if record["validation_map_at_r"] > self.progress.best_value:
                    self.progress.best_value = record["validation_map_at_r"]
                    self._keep(record)
            self.progress.history.append(record)
            if last:
                self._require_learning()
            self.progress.train_seconds += time.perf_counter() - started
            self.progress.process_seconds += time.process_time() - used
            yield record

    def state_dict(self) -> dict[str, Any]:
        """Everything that resuming needs, as tensors and plain containers."""
        with own_work():
            modules = {name: m.state_dict() for name, m in self.parts.modules().items()}
        return {
            "modules": modules,
            "optimizer": self.optimizer.state_dict(),
            "auxiliary_optimizer": self.auxiliary_optimizer
            and self.auxiliary_optimizer.state_dict(),
            "progress": vars(self.progress),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        with own_work():
            for name, module in self.parts.modules().items():
                module.load_state_dict(state["modules"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.auxiliary_optimizer is not None:
            self.auxiliary_optimizer.load_state_dict(state["auxiliary_optimizer"])
        self.progress = TrainingProgress(**state["progress"])

    def _epoch(self, epoch: int) -> dict[str, Any]:
        generator = seed_epoch(self.seed, epoch, self.parts.device)
        with own_work():
            for module in self.parts.modules().values():
                module.train()
        if self.recipe.freeze_batch_norm:
            self.parts.model.freeze_batch_norm()
        for parameter in self.backbone_parameters:
            parameter.requires_grad_(epoch >= self.recipe.frozen_epochs)
        course = self.progress if self.again is None else self.again
        validation = [record["validation_map_at_r"] for record in course.history[:epoch]]
        steps = len(self.sampler)
        values = StepValues(self.parts.loss_names)
        made = batches(
            self.train_set.images, self.labels, self.sampler.batches(epoch), self.parts.device
        )
        with values.explaining(), contextlib.closing(made):
            for index, batch in enumerate(made):
                step = epoch * steps + index
                factor = self.recipe.schedule.rate(step, steps, self.recipe.epochs, validation)
                for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
                    group["lr"] = base * factor
                self._step(batch, generator, step, values)
        with own_work():
            self.parts.combiner.end_epoch()
            weights = self.parts.combiner.weights()
        means = values.means(steps)
        # Where no step reads its gradient, that of the last one speaks for all.
        self.learns = self.learns or values.objective_moved or self._has_gradient()
        return {
            "epoch": epoch + 1,
            "objective": means[0],
            "losses": means[1:],
            "weights": None if weights is None else weights.double().tolist(),
            "validation_map_at_r": None,
            "learning_rate": self.base_lrs[0] * factor,
        }

    def _step(
        self, batch: Batch, generator: torch.Generator, step: int, values: StepValues
    ) -> None:
        """One update on a batch; its objective and losses go to `values`."""
        images = self.parts.train_transform(batch.stored, generator, batch.covered)
        note_labels(batch.labels, batch.host_labels)
        with own_work():
            self._update(images, batch.labels, step, values)
        heartbeat.moved()

    def _update(self, images: Tensor, labels: Tensor, step: int, values: StepValues) -> None:
        """What losses, combiner and backbone do with a batch, (B, 3, S, S) and (B,)."""
        parts, recipe = self.parts, self.recipe
        through = BackbonePass(parts.model.backbone, recipe, parts.device)
        seed_step(self.seed, "backbone", step)
        features = through.forward(images)
        passed = forward(
            parts, features, labels, lambda i: seed_step(self.seed, self.loss_names[i], step)
        )
        seed_step(self.seed, "combiner", step)
        self.optimizer.zero_grad(set_to_none=True)
        waits = devices.reads_wait(passed.losses.device)
        if parts.combiner.sees_gradients and not waits:  # which those of NaN would break
            check_finite(passed.losses.detach(), parts.loss_names, step)
        objective = objective_of(parts, passed)
        values.add(torch.cat([objective.detach().reshape(1), passed.losses.detach()]), step)
        self.backward(parts, through, passed, objective)
        if not waits:
            # Looked at only where nothing else shows that there is something to learn.
            self.learns = self.learns or values.objective_moved or self._has_gradient()
        if recipe.optimizer.max_gradient_norm:
            # The combiner's penalty is not part of the norm: it would shrink the network's steps.
            nn.utils.clip_grad_norm_(parts.model.parameters(), recipe.optimizer.max_gradient_norm)
        self.optimizer.step()
        if self.auxiliary_optimizer is not None:
            auxiliary = parts.combiner.auxiliary_loss([head.detach() for head in passed.heads])
            self.auxiliary_optimizer.zero_grad(set_to_none=True)
            auxiliary.backward()
            self.auxiliary_optimizer.step()

    def _has_gradient(self) -> bool:
        parameters = self.parts.model.parameters()
        return any(p.grad is not None and bool(p.grad.any()) for p in parameters)

    def _require_learning(self) -> None:
        """Raise `TrialFailure` where training was none: the network is as random as before."""
        history = self.progress.history
        if self.learns or any(record["objective"] != 0 for record in history):
            return
        raise TrialFailure(
            f"The objective was exactly 0, without a gradient, in every batch of {len(history)} "
            f"epochs: the batches hold nothing for {', '.join(self.parts.loss_names)} to learn "
            f"from. Losses of pairs need several images per class and several classes in a batch "
            f"(recipe.batch)."
        )

    def _keep(self, record: dict[str, Any]) -> None:
        """Take the current state for the one that is tested."""
        self.progress.best_epoch = record["epoch"]
        self.progress.best_state = {
            name: {k: v.detach().clone() for k, v in module.state_dict().items()}
            for name, module in self.parts.modules().items()
        }


def validation_map_at_r(
    parts: TrainingModules,
    recipe: Recipe,
    images: ImageSet,
    generator: np.random.Generator,
    protocol: Protocol,
) -> float:
    """MAP@R of the current state on `images`, classes that training does not see.

    generator: draws the order in which they are embedded.
    protocol: says how embeddings are compared, and whether one may depend on its batch: otherwise
        raises `ContextDependent`.
    """
    from dmlbench.evaluate.retrieval import retrieval

    embedded = embed_images(parts, recipe, images, generator, PROBES_OF_A_VALIDATION)
    if not bool(embedded.embeddings.isfinite().all()):
        # Every loss was finite, so the last step of the epoch broke the weights.
        raise TrialFailure("the validation embeddings are not finite, although every loss was")
    if not protocol.transductive:
        check_context(embedded, parts, recipe, images, "validation")
    scores = retrieval(
        embedded.embeddings,
        images.labels,
        ks=(1,),
        metric=protocol.similarity,
        device=parts.device,
    )
    return scores.map_at_r


def _sampler(recipe: Recipe, labels: np.ndarray, seed: int) -> ClassBalancedSampler | RandomSampler:
    batch = recipe.batch
    if batch.sampler == "random":
        return RandomSampler(labels, batch.classes * batch.images, seed)
    return ClassBalancedSampler(labels, batch.classes, batch.images, seed)
