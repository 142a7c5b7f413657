"""What a trial sees and how it is scored: images, augmentation, splits, retrieval metrics."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from dmlbench.data.augmentations import AUGMENTATIONS
from dmlbench.data.split import half_and_half, hold_out_classes
from dmlbench.data.transforms import TestTransform, TrainTransform
from dmlbench.datasets.glyphs import Glyphs
from dmlbench.evaluate.retrieval import retrieval
from golden_cases.case import Case
from golden_cases.inputs import summary, uniform, whole

#: A pixel that rounding may turn to its neighbour.
BYTES = 1e-3
SIZE, STORED = 10, 12
SHAPE = (SIZE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), False)


def pixels(channels: int) -> torch.Tensor:
    values = 127.5 + 127.5 * uniform("pixels", 4, channels, STORED, STORED)
    return torch.from_numpy(values.astype(np.uint8))


def augmented(name: str) -> dict[str, Any]:
    transform = TrainTransform([{"name": name}], *SHAPE)
    return {
        f"{channels} channels": summary(
            transform(pixels(channels), torch.Generator().manual_seed(7))
        )
        for channels in (1, 3)
    }


def seen_in_tests() -> dict[str, Any]:
    return {f"{c} channels": summary(TestTransform(*SHAPE)(pixels(c))) for c in (1, 3)}


def glyphs() -> dict[str, Any]:
    dataset = Glyphs(classes=6, images_per_class=3)
    sets = {"train": dataset.train, "test": dataset.test}
    return {
        **{f"{name} classes": images.class_names for name, images in sets.items()},
        **{f"{name} images": summary(np.asarray(i.images)) for name, i in sets.items()},
    }


def splits() -> dict[str, Any]:
    labels = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 1, 2, 3, 4])
    found: dict[str, Any] = {"halves": half_and_half("bdacefg")}
    for seed in (0, 1):
        for fraction in (0.2, 0.5):
            held_out = hold_out_classes(labels, fraction, seed)[1]
            found[f"held out {fraction}, seed {seed}"] = held_out.tolist()
    return found


def metrics() -> dict[str, Any]:
    """With and without a gallery; duplicates, a class of one and distractors among the items."""
    labels = np.repeat(np.arange(8), [1, 2, 3, 5, 8, 8, 12, 21])
    rows = 0.5 * uniform("class rows", 8, 6)[labels] + uniform("rows", len(labels), 6)
    rows[::7] = rows[1::7][: len(rows[::7])]
    found = {}
    for name, gallery in {
        "among themselves": (),
        "in a gallery": (rows[20:], labels[20:] % 6),
    }.items():
        scores = retrieval(rows, labels, *gallery, ks=(1, 2, 4, 8))
        found[name] = [
            *scores.recall_at.values(),
            scores.map_at_r,
            scores.r_precision,
            scores.knn_accuracy,
        ]
        found[f"queries {name}"] = [scores.num_queries, scores.num_skipped]
        found[f"precisions {name}"] = summary(scores.per_query.average_precision_at_r)
        found[f"hits {name}"] = whole(scores.per_query.recall_at[1].astype(float))
    return found


def cases() -> dict[str, Case]:
    return {
        **{
            f"augmentation {name}": Case(partial(augmented, name), tolerance=BYTES)
            for name in AUGMENTATIONS
        },
        "test transform": Case(seen_in_tests, tolerance=1e-6),
        "glyphs": Case(glyphs),
        "splits": Case(splits, numpy_draws=True),
        "retrieval": Case(metrics),
    }
