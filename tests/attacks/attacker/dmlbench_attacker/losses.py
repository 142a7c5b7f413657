"""Losses that look for the test set, or prepare the process for it."""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

import dmlbench
from dmlbench.data.images import ImageSet
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.training.train import Trainer
from dmlbench.training.train_phase import TrainPhase


class Dot(torch.nn.Module):
    def __init__(self, found=""):
        super().__init__()
        self.found, self.calls = found, 0

    def forward(self, embeddings, labels):
        self.calls += 1
        if self.calls == 2:
            self.attack()
        return (embeddings[::2] * embeddings[1::2]).sum()


class Honest(Dot):
    """What the others are where their attack has no effect."""

    def attack(self):
        pass


class Patches(Dot):
    """Replaces what embeds and checks test images by what gives each class a vector of its own."""

    def attack(self):
        from dmlbench.training import embed_splits

        embed = embed_splits.embed_images

        def perfect(parts, recipe, images, *more):
            marks = torch.nn.functional.one_hot(torch.as_tensor(images.labels)).float()
            return dataclasses.replace(embed(parts, recipe, images, *more), embeddings=marks)

        embed_splits.embed_images = perfect
        embed_splits.check_context = lambda *given: None


class Leaves(Dot):
    """Leaves a process running in a session of its own, and writes down its number."""

    def attack(self):
        child = os.fork()
        if child:
            os.waitpid(child, 0)
            return
        os.setsid()
        if os.fork() == 0:
            Path(self.found).write_text(str(os.getpid()))
            time.sleep(60)
        os._exit(0)


class HiddenRate(Dot):
    """Trains its own parameter a thousand times as fast as the recipe says."""

    learning_rate = 20.0

    def __init__(self, found=""):
        super().__init__(found)
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, embeddings, labels):
        return self.scale * super().forward(embeddings, labels)

    def attack(self):
        pass


def stack_values():
    """The local variables of every caller, the nearest first."""
    frame = sys._getframe()
    while frame is not None:
        yield from frame.f_locals.values()
        frame = frame.f_back


class ForgesResult(Dot):
    """Writes the result of the trial that it trains, with numbers of its own."""

    def attack(self):
        phase = next(value for value in stack_values() if isinstance(value, TrainPhase))
        metrics = {
            **dict.fromkeys(("map_at_r", "r_precision", "knn_accuracy", "nmi", "ami"), 1.0),
            "recall_at": dict.fromkeys("1248", 1.0),
            "num_queries": phase.metadata.dataset.num_test_images,
            "num_skipped": 0,
        }
        cost = dict.fromkeys(("train_seconds", "evaluate_seconds"), 1.0)
        memory = dict.fromkeys(("peak_memory_bytes", "peak_device_memory_bytes"), 1)
        missing = ("reason", "failed_step", "weights", "embeddings")
        trial = {
            **dict.fromkeys(missing),
            **{"seed": phase.seed, "status": "completed", "metrics": metrics, "history": []},
            **{"best_epoch": 1, "validation_map_at_r": 1.0, "environment": {}},
            "cost": {**cost, **memory},
        }
        result = {"metadata": phase.metadata.model_dump(), "trial": trial}
        TrialResult.model_validate(result)
        phase.folder.result_file.write_text(json.dumps(result))


class Hoards(Dot):
    """Starts from the weights that the trial before it left on disk, and leaves its own."""

    def forward(self, embeddings, labels):
        model = next(v for v in stack_values() if isinstance(v, Trainer)).parts.model
        path = Path(self.found)
        if self.calls == 0 and path.exists():
            for parameter, left in zip(model.parameters(), torch.load(path), strict=True):
                parameter.data.copy_(left)  # behind the back of autograd
        torch.save([parameter.data for parameter in model.parameters()], path)
        return super().forward(embeddings, labels)

    def attack(self):
        pass


class Walker(Dot):
    """Writes down every class name and every array of images that it can reach."""

    def attack(self):
        frame, locals_ = sys._getframe(), []
        while frame is not None:
            locals_ += frame.f_locals.values()
            frame = frame.f_back
        # All that the collector tracks, and what these refer to: arrays are not tracked.
        reached = {id(one): one for one in (*gc.get_objects(), *locals_)}
        for one in list(reached.values()):
            if not isinstance(one, type(sys)):
                reached |= {id(other): other for other in gc.get_referents(one)}
        names, arrays = set(), []
        for one in list(reached.values()):
            if isinstance(one, ImageSet):
                names |= set(one.class_names)
            while isinstance(one, np.ndarray):
                if one.dtype == np.uint8 and one.ndim == 4:
                    arrays.append(np.array(one))
                one = one.base
        np.savez(
            Path(self.found),
            names=sorted(names),
            images=np.concatenate([array.reshape(len(array), -1) for array in arrays]),
        )


class Asks(Dot):
    """Loads the dataset, as anybody can."""

    def attack(self):
        dmlbench.load_dataset("tiny").test  # noqa: B018


class AsksQuietly(Dot):
    """Goes on where it was refused."""

    def attack(self):
        try:
            dmlbench.load_dataset("tiny")
        except Exception:
            pass
