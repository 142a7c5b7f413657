"""Evaluations listed as published results: numbers, where they come from, and refusals."""

from __future__ import annotations

import hashlib
import json
import re

import numpy as np
import pytest
from click.testing import CliRunner

from dmlbench.cli import cli
from dmlbench.errors import VerificationError
from dmlbench.evaluate import retrieval
from dmlbench.leaderboard.entries.published_store import read_all_published
from dmlbench.leaderboard.entries.store import read_leaderboards

DESCRIPTION = {
    "protocol": "zsl-v2",
    "dataset": "cub",
    "losses": ["proxy-anchor"],
    "combiner": None,
    "backbone": "resnet50",
    "pretrained": True,
    "conditions": "Published weights.",
    "source": {
        "authors": "A and B", "title": "T", "year": 2020, "reference": "R", "where": "weights",
    },
}  # fmt: skip


@pytest.fixture
def scene(tmp_path):
    generator = np.random.default_rng(0)
    labels = np.append(np.repeat(np.arange(8), 5), 99)
    rows = generator.normal(size=(41, 4))
    np.savez(tmp_path / "given.npz", embeddings=rows, labels=labels)
    return tmp_path, rows, labels


def evaluate(folder, description, *more):
    path = folder / "theirs.json"
    path.write_text(description if isinstance(description, str) else json.dumps(description))
    given = ["evaluate", str(folder / "given.npz"), "--no-clustering", "--resamples", "100"]
    given += ["--published", str(path), "--leaderboards", str(folder / "boards")]
    return CliRunner().invoke(cli, [*given, *more])


def test_the_metrics_are_listed_with_source_and_conditions_and_are_no_entry(scene):
    folder, rows, labels = scene
    result = evaluate(folder, DESCRIPTION, "--ks", "1,10,2")
    assert result.exit_code == 0 and "Wrote " in result.stderr
    (found,), problems = read_all_published(folder / "boards")
    expected = retrieval(rows, labels, ks=(1, 2, 10))
    assert problems == []
    assert {int(k): v for k, v in found.metrics.recall_at.items()} == pytest.approx(
        expected.recall_at
    )
    assert found.metrics.map_at_r == pytest.approx(expected.map_at_r)
    assert found.metrics.r_precision == pytest.approx(expected.r_precision)
    assert found.metrics.nmi is None
    assert (found.embedding_dim, found.num_seeds, found.source.quoted_from) == (4, 1, None)
    digest = hashlib.sha256((folder / "given.npz").read_bytes()).hexdigest()
    assert found.conditions.startswith("Published weights. Metrics computed by dmlbench ")
    assert "40 queries (1 without an item to find left out) of 8 classes" in found.conditions
    assert f"cosine; given.npz sha256 {digest}." in found.conditions
    assert read_leaderboards(folder / "boards", even_empty=True)[0] == []
    shown = CliRunner().invoke(
        cli, ["leaderboard", "show", "--leaderboards", str(folder / "boards")]
    )
    assert "proxy-anchor" in shown.output and "A and B" in shown.output
    again = evaluate(folder, DESCRIPTION, "--ks", "1,10,2")
    assert again.exit_code == 0 and "Already there" in again.stderr
    assert len(read_all_published(folder / "boards")[0]) == 1


def test_a_gallery_and_its_file_are_named(scene):
    folder, rows, labels = scene
    np.savez(folder / "gallery.npz", embeddings=rows[:30], labels=labels[:30])
    gallery = ["--gallery", str(folder / "gallery.npz"), "--similarity", "euclidean"]
    assert evaluate(folder, DESCRIPTION, *gallery).exit_code == 0
    (found,), _ = read_all_published(folder / "boards")
    assert "30 queries (11 without an item to find left out)" in found.conditions
    assert "search 30 items, euclidean" in found.conditions
    assert "gallery.npz sha256 " in found.conditions


@pytest.mark.parametrize(
    "description, message",
    [
        (DESCRIPTION | {"metrics": {"map_at_r": 0.9}}, "has metrics, computed from"),
        (DESCRIPTION | {"embedding_dim": 4}, "has embedding_dim, computed from"),
        ({k: v for k, v in DESCRIPTION.items() if k != "source"}, "source"),
        (DESCRIPTION | {"rank": 1}, "rank"),
        (DESCRIPTION | {"conditions": "x" * 1990}, "conditions"),
        ("[1]", "must hold a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_a_description_that_does_not_hold_is_refused(scene, description, message):
    result = evaluate(scene[0], description)
    assert isinstance(result.exception, VerificationError)
    assert re.search(message, str(result.exception)) and not (scene[0] / "boards").exists()
