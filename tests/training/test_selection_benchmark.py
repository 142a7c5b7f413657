"""benchmarks/test_selection.py scores validation and test classes after every epoch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import test_selection

    yield test_selection
    del sys.modules["test_selection"]


@pytest.mark.slow
def test_every_epoch_is_scored_under_the_default_recipe(benchmark):
    """`quick` validates every fifth epoch only, and the choice needs all of them."""
    settings = [
        "recipe.epochs=2",
        "recipe.batch.classes=6",
        "recipe.batch.images=2",
        "recipe.embedding_dim=8",
    ]
    data = "glyphs(classes=20, images_per_class=4)"
    epochs = benchmark.trial(("triplet", "", 0, data, settings))
    assert len(epochs) == 2
    for epoch in epochs:
        assert all(0 <= epoch[key] <= 1 for key in epoch) and len(epoch) == 3
    found = benchmark.chosen(epochs)
    assert found["last"] == epochs[-1]["test_recall_at_1"]
    assert found["test"] == max(epoch["test_recall_at_1"] for epoch in epochs)
