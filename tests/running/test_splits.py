"""Runs over several class splits: their trials, files, plans, resuming and reproduction."""

from __future__ import annotations

import json

import hand_made
import numpy as np
import pytest
import scipy.stats
from safetensors.numpy import load_file

import dmlbench
from dmlbench.cli import main
from dmlbench.data.class_splits import random_half
from dmlbench.errors import UsageError
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.leaderboard.comparison.compare import Located, compare
from dmlbench.leaderboard.entries.attestation import (
    write_attestation,
)
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.verification.agreement import agreement
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.drawing import fresh_trials
from dmlbench.leaderboard.verification.tiers import Tiers, Verification
from dmlbench.leaderboard.verification.verify import verify
from dmlbench.leaderboard.views.columns import tier_cells
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.reproduce import plan_again, plan_fresh
from dmlbench.statistics.bootstrap import class_difference

make = hand_made.make


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
    # A proposal comes without embeddings.
    bare = {"split": 2, "embeddings": None}
    assert failures(lambda trial: trial.update(bare)) >= {"fingerprint"}
    assert failures(lambda trial: trial.update(embeddings=None)) == set()


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


OURS = [[0.60, 0.62], [0.50, 0.53], [0.71, 0.70]]


@pytest.fixture
def over_splits(tmp_path):
    """Three splits with two seeds each, filed; and attestations of it with given values."""
    entry = make(map_at_r=OURS[0], dataset="x")
    metadata = entry.model_dump()["dataset"]
    trials = []
    for split, values in enumerate(OURS):
        data = {key: value for key, value in metadata.items() if key.startswith("num_")}
        data |= {"fingerprint": f"{split}" * 64, "report": []}
        own = {"split": split, "data": data if split else None}
        trials += [t.model_dump() | own for t in make(map_at_r=values, dataset="x").trials]
    entry = type(entry).model_validate(entry.model_dump() | {"trials": trials})

    def confirmed(keys, values):
        by_trial = dict(zip(keys, values, strict=True))
        return hand_made.attestation(entry, by_trial, kind="confirmed", salt="salt")

    return entry, write_entry(tmp_path, entry).parent, confirmed


def test_fresh_splits_confirm_a_row_or_tell_that_its_splits_were_lucky(over_splits):
    entry, folder, confirmed = over_splits
    assert check_entry(entry) == []
    keys = fresh_trials(entry, "salt", 2, 4)
    assert len(keys) == 8 and min(split for split, _ in keys) >= 100_000
    assert fresh_trials(entry, "salt", 2, 4) == keys != fresh_trials(entry, "other", 2, 4)
    honest = confirmed(keys, [0.58, 0.6, 0.52, 0.51, 0.66, 0.67, 0.7, 0.69])
    found = agreement(entry, honest)
    assert found.verdict == "agrees" and "8 trials on 4 fresh class splits" in found.sentence
    # Trials of a split go together: eight of them are no more than four observations.
    theirs, ours = [0.59, 0.515, 0.665, 0.695], [0.61, 0.515, 0.705]
    low, high = (f"{100 * end:.1f}" for end in _welch(theirs, ours))
    assert f"(95 % interval {low} to {high}, Welch)" in found.sentence
    lucky = confirmed(keys, [0.2, 0.21, 0.22, 0.2, 0.21, 0.2, 0.19, 0.2])
    assert agreement(entry, lucky).verdict == "disagrees"
    chosen = [(split - 1, seed) for split, seed in keys]
    write_attestation(folder, confirmed(chosen, [0.6] * 8))
    assert Tiers(folder).verification(entry).tier == "checked", "splits that somebody chose"
    write_attestation(folder, honest)
    assert Tiers(folder).verification(entry) == Verification("confirmed", confirmed_on="splits")
    frame = dmlbench.read_leaderboard(folder)
    assert list(frame["confirmed_on"]) == ["splits"]
    assert tier_cells(frame) == ["confirmed (splits)"]
    own = confirmed(fresh_trials(entry, "salt", 3), [0.61, 0.60, 0.62])
    assert agreement(entry, own).verdict == "inconclusive", "two seeds on the dataset's own split"


def _welch(theirs, ours):
    return scipy.stats.ttest_ind(theirs, ours, equal_var=False).confidence_interval()


@pytest.mark.parametrize(
    ("seeds", "splits", "message"),
    [
        (5, 2, "3 or more on both sides; the entry has 3, and 2 were asked for"),
        (3, 0, "3 or more on both sides; the entry has 2, and 3 were asked for"),
        (500, 3, "too many fresh trials"),
    ],
)
def test_fresh_trials_that_could_not_be_compared_are_refused(
    over_splits, tmp_path, seeds, splits, message
):
    entry, _, _ = over_splits
    with pytest.raises(UsageError, match=message):
        plan_fresh(entry, "salt", seeds, splits, tmp_path, load_plugins())


def test_a_row_is_confirmed_on_fresh_splits_by_the_command(one_epoch, tmp_path, capsys):
    one_epoch["seeds"] = 1
    (entry,) = dmlbench.run(["ms"], out=tmp_path, splits=3, submitter="Ada", **one_epoch)
    arguments = ["reproduce", entry.entry_id, "--leaderboards", str(tmp_path), "--name", "me"]
    arguments += ["--fresh", "1", "--jobs", "2", "--device", "cpu", "--unconfined", "--json"]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    found = json.loads(capsys.readouterr().out)
    assert stop.value.code == {"agrees": 0, "disagrees": 4}[found["verdict"]]
    assert "3 trials on 3 fresh class splits" in found["sentence"]
    assert {trial["split"] >= 100_000 for trial in found["attestation"]["trials"]} == {True}
