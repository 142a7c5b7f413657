"""`make_entry` builds a small hand-made entry, `make_component` a record of a component.

`board` is a leaderboard whose test embeddings are stored beside it.
"""

from __future__ import annotations

import hand_made
import numpy as np
import pytest
from made_board import PARAMS, store, with_id

import dmlbench
from dmlbench.data.images import fingerprint
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import write_entry


@pytest.fixture(scope="session")
def make_entry():
    return hand_made.make


@pytest.fixture(scope="session")
def make_component():
    return hand_made.component


@pytest.fixture(scope="module")
def glyphs():
    return dmlbench.load_dataset("glyphs", image_size=16, **PARAMS)


@pytest.fixture
def board(glyphs, make_entry, make_component, tmp_path):
    """The leaderboard of two losses with two seeds, their embeddings beside it."""
    labels = glyphs.test.labels
    record = make_component("glyphs", params=PARAMS) | {
        "fingerprint": fingerprint(glyphs),
        "num_train_classes": 6,
        "num_train_images": 24,
        "num_test_classes": 6,
        "num_test_images": 24,
        "num_gallery_images": 0,
        "report": [],
    }
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(6, 8))
    for loss in ("triplet", "ms"):
        entry = make_entry(
            loss, [0.5, 0.5], recipe={"input": {"size": 16, "resize": 16}}, embedding_dim=8,
            metric_changes={"num_queries": 20, "recall_at": dict.fromkeys("1248", 0.5),
                            "knn_accuracy": 0.5},
        )  # fmt: skip
        data = entry.model_dump() | {"dataset": record}
        entry = with_id(data)
        data = entry.model_dump()
        for trial in data["trials"]:
            noisy = centres[labels] + generator.normal(size=(24, 8))
            store(tmp_path, entry, trial, noisy.astype(np.float32), labels)
            for step in trial["history"]:
                step["objective"] += float(generator.uniform(0, 0.1))
            # Nothing trains twice for the same time.
            trial["cost"]["train_seconds"] = float(generator.uniform(5, 9))
        write_entry(tmp_path, Entry.model_validate(data))
    return tmp_path / "zsl-v1" / "glyphs"
