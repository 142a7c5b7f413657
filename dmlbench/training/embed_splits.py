"""Test images to embeddings: by the chosen state, in processes that hold no label of theirs.

One process embeds all images in batches. Another, in which nothing was embedded before, embeds a
few of them one at a time, and the two are compared by a third that runs no component at all.
Legend: N images of a split, K of which the features are kept, P probes, D embedding dimension, F
feature dimension.
"""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dmlbench.data.images import ImageSet, image_sets
from dmlbench.data.training_phase import training_phase
from dmlbench.errors import TrialFailure
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.training import heartbeat
from dmlbench.training.build import BuiltTrial, Emit, build
from dmlbench.training.context import PROBES_OF_A_TEST, compare_alone, embed_alone
from dmlbench.training.data_source import DataSource
from dmlbench.training.embed import embed_images, evaluating
from dmlbench.training.environment import peak_memory_bytes, reset_peak_memory
from dmlbench.training.failures import own_work
from dmlbench.training.own_process import OwnProcess, Tensors
from dmlbench.training.random_states import generator_for
from dmlbench.training.trained import check_same_data, trained_in
from dmlbench.training.trial_folder import TrialFolder

#: Of so many images the batches' features are kept. Which of them are probes follows from all
#: embeddings, so who embeds cannot know.
_KEPT = 8192
_PEAK = ("peak_memory_bytes", "peak_device_memory_bytes")


@dataclass(frozen=True)
class Subject:
    """What is tested: the state that a training left in the folder of its trial.

    source: of the data; it loads them where it is asked, in the process that embeds.
    """

    configuration: Configuration
    registry: Registry
    source: DataSource
    seed: int
    device: torch.device
    folder: TrialFolder

    def built(self, emit: Emit) -> tuple[BuiltTrial, dict[str, ImageSet]]:
        """The tested state in modules that embedded nothing yet, and the images to embed.

        Raises `DmlbenchError` where there is nothing to test, or where the data are other ones.
        """
        heartbeat.enter("loading data", patient=True)
        trained = trained_in(self.folder)
        data = self.source.training()
        check_same_data(trained, data.fingerprint)
        images = {
            split: replace(given, labels=np.zeros(len(given), np.int64), class_names=("",), ids=())
            for split, given in image_sets(self.source.whole())
            if split != "train"
        }
        gc.collect()  # the labels
        heartbeat.enter("embedding the test images")
        refit = self.configuration.protocol.refit
        with training_phase():
            built = build(
                self.configuration, self.registry, data, self.device, self.seed, emit, refit
            )
        with own_work():
            for name, module in built.parts.modules().items():
                module.load_state_dict(trained.state[name])
        return built, images

    def together(self, request: Tensors, emit: Emit) -> Tensors:
        """All embeddings; by split ``NAME`` (N, D), ``NAME kept`` (K,) and its ``features`` (K, F).

        Also ``weights`` of the losses, where the combiner has some, and ``peak`` (2,) of memory.
        """
        reset_peak_memory(self.device)
        built, images = self.built(emit)
        tensors: dict[str, Tensor] = {}
        with training_phase():
            for split, given in images.items():
                shown = built.images(split, given)
                generator = generator_for(self.seed, f"embedding order {split}")
                found = embed_images(
                    built.parts, self.configuration.recipe, shown, generator, _KEPT
                )
                tensors[split] = found.embeddings
                tensors[f"{split} kept"] = torch.from_numpy(found.probes)
                tensors[f"{split} features"] = found.features
        with own_work():
            weights = built.parts.combiner.weights()
        if weights is not None:
            tensors["weights"] = weights.detach().double()
        return {**tensors, "peak": self._peak()}

    def alone(self, request: Tensors, emit: Emit) -> Tensors:
        """The probes one at a time: by split ``NAME features`` (P, F) and ``NAME`` (P, D).

        request: ``NAME`` (P,), the probes, and ``NAME features`` (P, F), those of the batches, of
            which the embeddings are made: the precision of a recipe rounds the features alone.
        """
        reset_peak_memory(self.device)
        built, images = self.built(emit)
        evaluating(built.parts)
        tensors: dict[str, Tensor] = {}
        with training_phase():
            for split, given in images.items():
                tensors[f"{split} features"], tensors[split] = embed_alone(
                    built.parts,
                    lambda row, given=given: built.features_alone(given, row),
                    request[split].numpy(),
                    request[f"{split} features"].to(self.device),
                    split,
                )
        return {**tensors, "peak": self._peak()}

    def _peak(self) -> Tensor:
        found = peak_memory_bytes(self.device)
        return torch.tensor([found[name] for name in _PEAK], dtype=torch.int64)


@dataclass(frozen=True)
class EmbeddedSplits:
    """Embeddings (N, D) by split; the weights of the losses (M,), or None; memory at the most."""

    embeddings: Mapping[str, Tensor]
    weights: list[float] | None
    peak: Mapping[str, int]


def embed_splits(subject: Subject, emit: Emit) -> EmbeddedSplits:
    """Embed, and compare what was embedded together and alone. Raises `TrialFailure`."""
    recipe, adapts = subject.configuration.recipe, subject.configuration.protocol.transductive
    # Both are forked before either has been asked anything.
    with (
        OwnProcess(subject.alone, "embeds test images one at a time") as one_by_one,
        OwnProcess(subject.together, "embeds the test images") as all_together,
    ):
        together = dict(all_together.ask({}, emit))
        peaks = [together.pop("peak")]
        splits = [name for name in together if f"{name} kept" in together]
        for split in splits:
            if not bool(together[split].isfinite().all()):
                what = "embeddings" if split == "test" else split
                raise TrialFailure(f"the test {what} are not finite, although every loss was")
        if not adapts:
            request: dict[str, Tensor] = {}
            for split in splits:
                chosen = _probes(together[split], len(together[f"{split} kept"]))
                request[split] = together[f"{split} kept"][chosen]
                request[f"{split} features"] = together[f"{split} features"][chosen]
            alone = one_by_one.ask(request, emit)
            peaks.append(alone["peak"])
            for split in splits:
                compare_alone(
                    (request[f"{split} features"], together[split][request[split]]),
                    (alone[f"{split} features"], alone[split]),
                    request[split].numpy(), recipe, subject.device.type, split,
                )  # fmt: skip
    weights = together.get("weights")
    return EmbeddedSplits(
        {split: together[split] for split in splits},
        None if weights is None else weights.tolist(),
        dict(zip(_PEAK, torch.stack(peaks).amax(dim=0).tolist(), strict=True)),
    )


def _probes(embeddings: Tensor, kept: int) -> Tensor:
    """Which of the `kept` images are probes (P,): drawn by what they all became."""
    digest = hashlib.sha256(embeddings.contiguous().numpy().tobytes()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:16], "little"))
    return torch.from_numpy(generator.choice(kept, min(kept, PROBES_OF_A_TEST), replace=False))
