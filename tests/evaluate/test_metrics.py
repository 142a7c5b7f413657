"""The table of metrics agrees with what is computed and with what an entry holds."""

from __future__ import annotations

from dataclasses import fields

import pytest

from dmlbench.evaluate import ClusteringResult, retrieval
from dmlbench.evaluate.metrics import (
    METRICS,
    RetrievalResult,
    is_metric,
    metric_columns,
    metric_spec,
    metric_values,
    recall_depth,
)
from dmlbench.leaderboard.entries.trial import Metrics

FOUND = retrieval([[1, 0], [0.9, 0.1], [0, 1], [0.4, 0.6], [1, 1]], [0, 0, 1, 1, 2], ks=(1, 2))


def test_every_metric_of_the_table_is_a_field_of_an_entry_and_no_other():
    extra = {"recall_at", "num_queries", "num_skipped"}
    assert set(Metrics.model_fields) == {spec.name for spec in METRICS} | extra


@pytest.mark.parametrize("spec", METRICS, ids=lambda spec: spec.name)
def test_the_schema_has_the_bounds_and_the_optionality_of_the_table(spec):
    values = metric_values(FOUND, ClusteringResult(0.5, 0.5, 2, "k-means"))
    low = values | {spec.name: spec.lowest}
    low |= {"map_at_r": 0.0} if spec.name == "r_precision" else {}
    assert getattr(Metrics(**low), spec.name) == spec.lowest
    for refused in (spec.lowest - 0.01, 1.01):
        with pytest.raises(ValueError, match=spec.name):
            Metrics(**values | {spec.name: refused})
    if not spec.optional:
        with pytest.raises(ValueError, match=spec.name):
            Metrics(**values | {spec.name: None})


@pytest.mark.parametrize("name", metric_columns([1, 2]))
def test_a_mean_is_that_of_the_scores_of_the_queries(name):
    spec, k = metric_spec(name), recall_depth(name)
    if spec.per_query is None:
        assert spec.name not in {field.name for field in fields(RetrievalResult)}
        return
    mean = FOUND.recall_at[k] if k else getattr(FOUND, name)
    assert spec.per_query(FOUND.per_query).mean() == pytest.approx(mean, abs=1e-12)


def test_values_of_embeddings_that_were_not_clustered():
    values = metric_values(FOUND, None)
    assert values["nmi"] is values["ami"] is None
    assert not Metrics(**values).clustered


def test_names():
    assert metric_columns([10, 1])[:3] == ["recall_at_1", "recall_at_10", "map_at_r"]
    assert is_metric("recall_at_30") and is_metric("ami")
    assert not is_metric("recall_at_") and not is_metric("rank") and not is_metric("map_at_r_low")
