"""Attacks on the protocol: each fails its trial, and the entry says why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import dmlbench
from dmlbench.data.class_splits import ClassSplit
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.reproduce import plan_again, reproduce


@pytest.fixture
def attack(tiny, install_package, tmp_path):
    """Call with losses, combiners and more; gives the trial of the last row, and its entry."""
    install_package(Path(__file__).parent / "attacker")
    tiny["overrides"]["recipe.epochs"] = 1

    def carry_out(losses, combiners=None, **more):
        request = {**tiny, "seeds": 1, "singles": False, **more}
        *_, entry = dmlbench.run(losses, combiners, out=tmp_path / "out", **request)
        return entry.trials[0], entry

    return carry_out


@pytest.mark.parametrize("name", ["neighbours", "memory", "memory-outside", "position"])
def test_a_combiner_that_mixes_images_fails_its_trial(attack, name):
    # Two batches of test images, of which the first has the 200 rows that `neighbours` waits for.
    trial, _ = attack(["ms", "supcon"], [name], dataset="tiny(classes=70)")
    assert trial.status == "failed" and trial.metrics is None
    assert "what else is in the batch decides on them" in trial.reason
    # A validation set is smaller than 200: `neighbours` shows on the test images alone.
    assert ("the embeddings of test images" in trial.reason) == (name != "position")


@pytest.mark.parametrize("name", ["labels", "scores"])
def test_a_combiner_that_embeds_holds_no_label_and_does_not_score(attack, name):
    """It walks all objects of its process, or replaces what compares and scores."""
    honest, _ = attack(["ms", "supcon"], ["sum"])
    attacking, _ = attack(["ms", "supcon"], [name])
    assert attacking.status == "completed", attacking.reason
    assert 0 < honest.metrics.map_at_r < 1 and attacking.metrics == honest.metrics


def test_an_embedding_that_is_wider_in_the_test_fails_its_trial(attack):
    trial, _ = attack(["ms", "supcon"], ["wider"])
    assert trial.status == "failed"
    assert trial.reason.startswith("the embeddings of test images have 16 dimensions in a batch")


PATCHES_WHERE_IT_IS_IMPORTED = """
    import os
    from dmlbench.hookspecs import CombinerSpec, hookimpl

    if os.getpid() != int(os.environ["ATTACKED_COMMAND"]):
        import torch
        from dmlbench.training import embed_splits, test_phase

        measure = test_phase.retrieval
        embed_splits.compare_alone = lambda *given: None
        test_phase.retrieval = lambda embeddings, labels, **more: measure(
            torch.nn.functional.one_hot(labels).float(), labels, **more
        )

    @hookimpl
    def dmlbench_combiners():
        return [CombinerSpec(
            name="honest-looking", target="dmlbench.combiners.fixed:EqualSum", summary="An attack"
        )]
"""


def test_what_a_plugin_replaces_where_it_is_imported_does_not_score(attack, install, monkeypatch):
    monkeypatch.setenv("ATTACKED_COMMAND", str(os.getpid()))
    honest, _ = attack(["ms", "supcon"], ["sum"])
    install("patches-import", PATCHES_WHERE_IT_IS_IMPORTED)
    attacking, _ = attack(["ms", "supcon"], ["honest-looking"])
    assert attacking.status == "completed", attacking.reason
    assert attacking.metrics == honest.metrics


def test_who_says_that_he_adapts_is_ranked_apart(attack):
    trial, adapting = attack(["ms", "supcon"], ["adapts"], dataset="tiny(classes=70)")
    assert trial.status == "completed"
    assert adapting.protocol.rules["transductive"] is True
    _, honest = attack(["ms", "supcon"], ["sum"], dataset="tiny(classes=70)")
    assert honest.protocol.rules["transductive"] is False
    assert group_key(adapting) != group_key(honest)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("batch-norm", "the features of validation images: what else is in the batch decides"),
        ("batch-norm-1d", "the backbone's features of one validation image alone cannot be comp"),
    ],
)
def test_a_backbone_whose_batch_norm_sees_the_test_batch_fails_its_trial(attack, name, reason):
    trial, _ = attack(["ms"], backbone=name)
    assert trial.status == "failed" and trial.reason.startswith(reason)


@pytest.mark.parametrize("split", [0, 1])
def test_a_loss_reaches_no_test_image_from_any_frame_or_object(attack, tmp_path, split):
    found = tmp_path / "found.npz"
    trial, _ = attack([f"walker(found='{found}')"], splits=[split])
    assert trial.status == "completed", trial.reason
    reached = np.load(found)
    dataset = dmlbench.load_dataset("tiny", image_size=16)
    if split:
        dataset = ClassSplit(dataset, split, "tiny-dataset:tiny")
    assert set(reached["names"]) == set(dataset.train.class_names)
    seen = {row.tobytes() for row in reached["images"]}
    rows = np.arange(96)
    held = {part: getattr(dataset, part).images[rows].reshape(96, -1) for part in ("train", "test")}
    assert {row.tobytes() for row in held["train"]} <= seen  # the walk is a good one
    assert not seen & {row.tobytes() for row in held["test"]}


@pytest.mark.parametrize("name", ["asks", "asks-quietly"])
def test_a_loss_that_asks_for_the_dataset_is_refused(attack, name):
    trial, _ = attack([name])
    assert trial.status == "failed"
    assert trial.reason.startswith("the dataset tiny-dataset:tiny was asked for while the trial")


def test_what_a_loss_replaces_in_its_process_is_gone_when_test_images_are_embedded(attack):
    honest, _ = attack(["honest"])
    patched, _ = attack(["patches"])
    assert patched.status == "completed", patched.reason
    assert 0 < honest.metrics.map_at_r < 1 and patched.metrics == honest.metrics
    assert patched.embeddings.sha256 == honest.embeddings.sha256


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux")
def test_a_process_that_training_leaves_behind_has_ended_before_the_test(attack, tmp_path):
    left = tmp_path / "left"
    trial, _ = attack([f"leaves(found='{left}')"])
    assert trial.status == "completed", trial.reason
    with pytest.raises(ProcessLookupError):
        os.kill(int(left.read_text()), 0)


def test_a_learning_rate_that_a_loss_sets_for_itself_is_in_the_entry_and_the_table(
    attack, tmp_path
):
    _, entry = attack(["hidden-rate"])
    assert entry.losses[0].learning_rate == 20.0
    frame = dmlbench.read_leaderboard(tmp_path / "out" / "zsl-v2" / "tiny")
    assert list(frame["loss_rates"]) == [[20.0]]


def test_a_result_that_a_loss_wrote_for_its_trial_is_not_taken(attack):
    honest, _ = attack(["honest"])
    forged, _ = attack(["forges-result"])
    assert forged.history and forged.metrics == honest.metrics


def test_trials_that_hand_weights_on_by_a_file_do_not_stand_an_audit(attack, tmp_path):
    kept = tmp_path / "kept.pt"
    _, entry = attack([f"hoards(found='{kept}')"], seeds=2, jobs=1)
    assert check_entry(entry) == [] and len(entry.completed) == 2
    kept.unlink()  # an audit trains elsewhere, and the trials that it draws alone
    registry = load_plugins()
    plan = plan_again(entry, [1], tmp_path / "audit", registry)
    found = reproduce(entry, plan, registry, who="host", kind="audited", salt="salt", jobs=1)
    assert found.agreement.verdict == "disagrees"
    assert "every digit should be equal" in found.agreement.sentence
