"""A row compared by distance: tested, recomputed and grouped by its own rule."""

from __future__ import annotations

import pytest
import safetensors.numpy

import dmlbench
from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.verification.recompute import recompute, stored_embeddings
from dmlbench.plan.config import configuration_from_json
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plugins.loading import load_plugins


def test_the_authors_compressor_is_compared_by_distance(tiny, tmp_path):
    tiny["seeds"] = 1
    tiny["overrides"] |= {"protocol.dim_budget": "per-loss", "protocol.similarity": "euclidean"}
    single, _, entry = dmlbench.run(
        ["ms", "contrastive"], ["wedl-c(compressor=authors)"], out=tmp_path, **tiny
    )
    (trial,) = entry.trials
    stored = safetensors.numpy.load_file(tmp_path / trial.embeddings.path)
    rows, labels = stored["embeddings"], stored["labels"]
    assert rows.shape[1] == entry.embedding_dim == 16  # twice a single loss's
    found = dmlbench.evaluate.retrieval(rows, labels, metric="euclidean")
    assert trial.metrics.map_at_r == pytest.approx(found.map_at_r, abs=1e-9)
    by_cosine = dmlbench.evaluate.retrieval(rows, labels)
    assert abs(found.map_at_r - by_cosine.map_at_r) > 1e-4  # lengths matter here
    again = stored_embeddings(entry, trial, tmp_path / entry.protocol.name / entry.dataset.name)
    assert recompute(again, [1, 2, 4, 8]) == trial.metrics
    assert group_key(entry) != group_key(single)


def test_how_embeddings_are_compared_is_part_of_the_protocol():
    def planned(**overrides):
        request = Request(losses=["ms"], overrides=overrides)
        return configurations_of(request, load_plugins())[0]

    cosine, distance = planned(), planned(**{"protocol.similarity": "euclidean"})
    assert cosine.entry_id != distance.entry_id
    assert cosine.protocol.sha256 != distance.protocol.sha256
    assert configuration_from_json(distance.to_json()).protocol == distance.protocol
    with pytest.raises(UsageError, match="cosine or euclidean, not 'manhattan'"):
        planned(**{"protocol.similarity": "manhattan"})
