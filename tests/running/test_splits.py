"""Runs over several class splits: their trials, files, plans, resuming and reproduction."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import dmlbench
from dmlbench.data.class_splits import random_half
from dmlbench.errors import UsageError
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.leaderboard.comparison.compare import Located, compare
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.verify import verify
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.reproduce import plan_again
from dmlbench.statistics.bootstrap import class_difference


@pytest.fixture
def one_epoch(tiny):
    tiny["overrides"]["recipe.epochs"] = 1
    return {**tiny, "seeds": 2, "clustering": False}


def without_times(trial) -> dict:
    return trial.model_dump(exclude={"cost", "environment", "finished_at"})


def test_every_split_is_trained_with_every_seed(one_epoch, tmp_path):
    (alone,) = dmlbench.run(["ms"], out=tmp_path, **one_epoch)
    assert all("split" not in t and "data" not in t for t in _said(alone))
    seen = []
    (entry,) = dmlbench.run(
        ["ms"],
        out=tmp_path,
        splits=2,
        watch=lambda event: seen.append((event.kind, event.split, event.seed)),
        **one_epoch,
    )
    assert entry.entry_id == alone.entry_id, "splits are no part of a configuration"
    assert [trial.key for trial in entry.trials] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert entry.trials[:2] == alone.trials, "finished trials are not repeated"
    assert {seed for kind, split, seed in seen if kind == "trial_started"} == {0, 1}
    assert {split for _, split, _ in seen} == {1}

    own, random = entry.trials[0], entry.trials[2]
    assert own.data is None and entry.data_of(own) == entry.dataset
    names = [f"c{i:03}" for i in range(24)]
    assert random_half(names, 1, "tiny-dataset:tiny") != set(names[:12])
    assert (random.data.num_train_classes, random.data.num_test_classes) == (12, 12)
    assert random.data.fingerprint not in (entry.dataset.fingerprint, None)
    assert random.data == entry.trials[3].data
    assert own.metrics != random.metrics and own.metrics.num_queries == 96
    assert random.embeddings.path.endswith("/split-1-seed-0/embeddings.safetensors")

    assert check_entry(entry) == []
    (verified,) = verify(tmp_path / "zsl-v2" / "tiny", rebuild=True)
    assert verified.failures == [] and verified.recomputed.keys() == {t.key for t in entry.trials}
    plan = plan_again(entry, 1, tmp_path / "again", load_plugins(), splits=[1])
    assert [trial.key for trial in plan.trials] == [(1, 0)]
    with pytest.raises(UsageError, match="The entry has no split 2; it has 0, 1"):
        plan_again(entry, None, tmp_path / "again", load_plugins(), splits=[2])


def _said(entry) -> list[dict]:
    """What the trials say beyond defaults: what the hash of an entry covers."""
    return entry.model_dump(exclude_defaults=True)["trials"]


def test_a_split_does_not_depend_on_what_was_trained_before(one_epoch, tmp_path):
    one_epoch["seeds"] = 1
    (both,) = dmlbench.run(["ms"], out=tmp_path / "both", splits=2, **one_epoch)
    (alone,) = dmlbench.run(["ms"], out=tmp_path / "alone", splits=[1], **one_epoch)
    assert without_times(alone.trials[0]) == without_times(both.trials[1])
    assert alone.dataset == both.dataset, "an entry describes the dataset's own split"


def test_labels_and_counts_of_a_split_are_verified(one_epoch, tmp_path):
    one_epoch["seeds"] = 1
    dmlbench.run(["ms"], out=tmp_path, splits=[1], **one_epoch)
    (file,) = (tmp_path / "zsl-v2" / "tiny").glob("*.json")

    def failures(change) -> set[str]:
        data = json.loads(file.read_text())
        change(data["trials"][0])
        before = file.read_text()
        file.write_text(json.dumps(data))
        (verified,) = verify(file.parent, rebuild=True)
        file.write_text(before)
        return {failure.check for failure in verified.failures}

    assert failures(lambda trial: None) == set()
    assert failures(lambda trial: trial.update(data=None)) >= {"splits"}
    smaller = {"num_test_images": 8, "num_test_classes": 1}
    assert failures(lambda trial: trial["data"].update(smaller)) >= {"splits", "counts"}
    other = {"fingerprint": "0" * 64}
    assert failures(lambda trial: trial["data"].update(other)) == {"fingerprint"}
    # The labels of split 1 under the name of split 2.
    assert failures(lambda trial: trial.update(split=2)) >= {"fingerprint", "artefacts"}


def test_rows_are_compared_over_classes_that_splits_share(one_epoch, tmp_path):
    one_epoch["seeds"] = 1
    entries = dmlbench.run(["ms", "triplet"], [], out=tmp_path, splits=3, **one_epoch)
    folder = tmp_path / "zsl-v2" / "tiny"
    first, other = (Located(entry, folder) for entry in entries)
    (found,) = compare(first, [other])
    assert (found.seeds.num_splits, found.num_queries, found.queries) == (3, 3 * 96, None)
    names = [f"c{i:03}" for i in range(24)]
    splits = []
    for trials in zip(*(entry.trials for entry in entries), strict=True):
        tensors = [load_file(tmp_path / trial.embeddings.path) for trial in trials]
        found_again = [retrieval(t["embeddings"], t["labels"]).per_query for t in tensors]
        scores = [per_query.average_precision_at_r for per_query in found_again]
        number = trials[0].split
        tested = names[12:]
        if number:
            tested = sorted(set(names) - random_half(names, number, "tiny-dataset:tiny"))
            assert [names[i] for i in tensors[0]["classes"]] == tested
        classes = np.array([names.index(name) for name in tested])[tensors[0]["labels"]]
        splits.append((*(np.asarray(row)[None] for row in scores), classes))
    expected = class_difference(splits)
    assert (found.classes.low, found.classes.high) == pytest.approx((expected.low, expected.high))
