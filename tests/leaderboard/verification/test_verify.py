"""Verification: each way of tampering is caught, by the name of the check that it fails."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from made_board import PARAMS, embeddings_file, id_of, refer, store, with_id
from safetensors.numpy import load_file, save_file

import dmlbench
from dmlbench.cli import main
from dmlbench.leaderboard.entries.attestation import read_attestation
from dmlbench.leaderboard.entries.descriptions import failures
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import read_entry, write_entry
from dmlbench.leaderboard.verification.agreement import recomputed
from dmlbench.leaderboard.verification.attest import attest
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.cross_entry_checks import copies
from dmlbench.leaderboard.verification.verify import tier, verify
from dmlbench.leaderboard.verification.verify_entry import Verified
from dmlbench.plan.config import sha256_of


def rewrite(path: Path, how) -> Path:
    """Edit an entry's file as whoever tampers would: hashes, id and name follow."""
    data = json.loads(path.read_text())
    how(data)
    data["protocol"]["sha256"] = sha256_of(data["protocol"]["rules"])
    data["entry_id"] = id_of(data)
    path.unlink()
    path = path.with_name(f"{data['entry_id']}.json")
    path.write_text(json.dumps(data))
    return path


def files(board):
    return sorted(board.glob("*.json"))


def change(path: Path, how) -> None:
    """Edit an entry's file as JSON, keeping its name where its id stays."""
    data = json.loads(path.read_text())
    how(data)
    path.write_text(json.dumps(data))


def failed(board) -> set[str]:
    """The names of the checks that fail anywhere in a leaderboard."""
    return {failure.check for found in verify(board) for failure in found.failures}


def test_untouched_entries_are_recomputed(board):
    found = verify(board)
    assert [v.tier for v in found] == ["recomputed", "recomputed"]
    assert not any(v.failures for v in found)
    assert all(v.recomputed.keys() == {(0, 0), (0, 1)} for v in found)
    (one,) = verify(files(board)[0])
    assert one.tier == "recomputed" and one.path == files(board)[0]


@pytest.mark.parametrize(
    "metric, value",
    [("map_at_r", 0.001), ("r_precision", 0.999), ("knn_accuracy", 1.0), ("nmi", 0.999),
     ("ami", -0.5)],
)  # fmt: skip
def test_a_changed_number(board, metric, value):
    change(files(board)[0], lambda data: data["trials"][1]["metrics"].update({metric: value}))
    first, other = verify(board)
    assert [failure.check for failure in first.failures] == ["metrics"]
    assert f"seed 1 is {value:.6f} in the entry" in first.failures[0].message
    assert first.tier == "checked" and not other.failures


def test_one_of_nmi_and_ami_alone(board):
    change(files(board)[0], lambda data: data["trials"][1]["metrics"].update(nmi=None, ami=0.99))
    assert failed(board) == {"schema"}


def test_without_faiss_what_was_not_clustered_again_is_not_recomputed(board, monkeypatch):
    # By its name in the system: the package's attribute of that name is the function.
    module = sys.modules["dmlbench.evaluate.clustering"]

    def missing(*_, **__):
        raise module.FaissMissing("faiss is not installed")

    monkeypatch.setattr(module, "clustering", missing)
    for path in files(board):
        change(path, lambda data: data["trials"][1]["metrics"].update(nmi=0.99, ami=0.99))
    for found in verify(board):
        assert found.tier == "checked" and found.recomputed == {} and not found.failures
        assert any("NMI and AMI were not recomputed" in note for note in found.notes)
        assert attest(found, "somebody") is None


def test_a_changed_recall(board):
    def raise_it(data):
        recall = data["trials"][0]["metrics"]["recall_at"]
        recall["8"] = recall["4"] = recall["2"] = recall["1"] = 1.0

    change(files(board)[0], raise_it)
    assert failed(board) == {"metrics"}


def test_a_changed_embedding_file(board):
    path = embeddings_file(board, read_entry(files(board)[0]), 1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert failed(board) == {"embeddings"}
    path.write_bytes(data + b"0")
    assert failed(board) == {"embeddings"}


def test_from_wherever_it_is_called(board, monkeypatch):
    path = embeddings_file(board, read_entry(files(board)[0]), 1)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    for place, target in ((board, "."), (board, files(board)[0].name), (board.parent, "glyphs")):
        monkeypatch.chdir(place)
        assert {f.check for v in verify(target) for f in v.failures} == {"embeddings"}


def test_embeddings_of_another_submission_are_none_of_this_one(board):
    """Whoever trains a published row again has the own embeddings in the same place."""
    published = read_entry(files(board)[0])
    path = write_entry(board.parent.parent, published, beside=True)
    attest(verify(path)[0], "somebody")
    data = published.model_dump() | {"submitter": "me"}
    labels = load_file(embeddings_file(board, published, 0))["labels"]
    generator = np.random.default_rng(5)
    for trial in data["trials"]:
        again = generator.normal(size=(24, 8)).astype(np.float32)
        store(board.parent.parent, published, trial, again, labels)
        trial["cost"]["train_seconds"] += 1
        trial["history"][0]["objective"] += 0.5
    files(board)[0].with_name(f"{published.entry_id}.json").write_text(json.dumps(data))
    later = max(p.stat().st_mtime for p in board.glob("_attestations/*")) + 5
    for seed in (0, 1):
        os.utime(embeddings_file(board, published, seed), (later, later))
    assert failed(board) == set()
    assert tier(published, board) == "recomputed", "attested before"
    (found,) = verify(path)
    assert found.tier == "recomputed" and found.recomputed == {}
    assert any("no embeddings here" in note for note in found.notes)


def test_another_file_in_its_place_with_the_hash_adapted(board):
    entry = read_entry(files(board)[0])
    path = embeddings_file(board, entry, 0)
    tensors = load_file(path)
    tensors["embeddings"] = tensors["embeddings"][::-1].copy()
    save_file(tensors, path)
    relative = entry.trials[0].embeddings.path
    change(files(board)[0], lambda data: refer(board.parent.parent, data["trials"][0], relative))
    assert "metrics" in failed(board)


def test_a_changed_label_order_with_everything_else_adapted(board):
    """Labels that fit the embeddings better, and the metrics that they give."""
    entry = read_entry(files(board)[0])
    tensors = load_file(embeddings_file(board, entry, 0))
    labels = tensors["labels"].copy()
    labels[[0, 23]] = labels[[23, 0]]
    data = entry.model_dump()
    store(board.parent.parent, entry, data["trials"][0], tensors["embeddings"], labels)
    files(board)[0].write_text(json.dumps(data))
    assert failed(board) == {"labels"}
    messages = [f.message for v in verify(board) for f in v.failures]
    assert any("not the dataset's in its order: they differ at 2 of 24 items" in m
               for m in messages)  # fmt: skip


def test_another_label_order_among_entries_whose_dataset_is_not_here(board, monkeypatch):
    from dmlbench.leaderboard.verification import ground_truth

    monkeypatch.setattr(ground_truth, "EMBEDDED", ())
    entry = read_entry(files(board)[0])
    tensors = load_file(embeddings_file(board, entry, 0))
    data = entry.model_dump()
    for trial in data["trials"]:
        labels = np.roll(tensors["labels"], 1)
        rows = load_file(embeddings_file(board, entry, trial["seed"]))["embeddings"]
        store(board.parent.parent, entry, trial, rows, labels)
    files(board)[0].write_text(json.dumps(data))
    assert failed(board) == {"labels"}


def test_a_changed_split(board):
    change(files(board)[0], lambda data: data["dataset"].update(fingerprint="0" * 64))
    found = verify(board)
    assert {f.check for v in found for f in v.failures} == {"fingerprint"}
    assert any("built here" in f.message for f in found[0].failures)


def test_the_known_fingerprint_of_the_embedded_dataset(make_entry, make_component):
    from dmlbench.leaderboard.verification.checks import check_entry

    data = make_entry().model_dump()
    params = {"classes": 400, "images_per_class": 24, "seed": 0}
    data["dataset"] |= {"params": params}
    data["recipe"] |= {"input": {"resize": 32, "size": 32}}
    failures = check_entry(with_id(data))
    assert {failure.check for failure in failures} == {"fingerprint"}
    assert any("dd17ee3f0c6f" in failure.message for failure in failures)


@pytest.mark.parametrize(
    "params, words",
    [
        (PARAMS | {"classes": "many"}, "classes"),
        (PARAMS | {"colour": 1}, "colour"),
    ],
)
def test_parameters_that_the_embedded_dataset_cannot_have(board, params, words):
    path = rewrite(files(board)[0], lambda data: data["dataset"].update(params=params))
    (found,) = verify(path)
    checks = {failure.check for failure in found.failures}
    assert "fingerprint" in checks and any(words in f.message for f in found.failures)


def test_the_sizes_of_the_fields_datasets_are_known(make_entry, tmp_path):
    path = write_entry(tmp_path, make_entry("ms", dataset="cub"))
    messages = [f.message for v in verify(path) for f in v.failures if f.check == "fingerprint"]
    assert any("num_test_images" in m and "has 5924" in m for m in messages)
    (found,) = verify(write_entry(tmp_path, make_entry("ms", dataset="mine")))
    assert not found.failures and any("is believed" in note for note in found.notes)


def test_an_entry_does_not_choose_what_is_drawn(board, monkeypatch):
    import dmlbench.plugins.components

    huge = PARAMS | {"classes": 1614, "images_per_class": 10_000}

    def big(data):
        data["dataset"]["params"] = huge
        data["recipe"]["input"] = {"resize": 512}

    path = rewrite(files(board)[0], big)

    def drawn(*_):
        raise AssertionError("the dataset was built")

    monkeypatch.setattr(dmlbench.plugins.components, "create_dataset", drawn)
    (found,) = verify(path)
    assert any("--rebuild" in note for note in found.notes)
    verify(board, embeddings=False)


def _protocol(data, **changes):
    rules = data["protocol"]["rules"] | changes
    data["protocol"] |= {"rules": rules, "sha256": sha256_of(rules)}


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"ties": "equal similarities count for the query"}, "'ties'"),
        ({"selection": "best epoch on the test classes"}, "'selection'"),
        ({"more": "rules"}, "'more'"),
        ({"name": "zsl-v9"}, "not known here"),
        ({"width": "wide"}, "total or per-loss"),
        ({"recall_at": 5}, "not a list of numbers"),
        ({"validation_fraction": None}, "rules are not those"),
    ],
)
def test_a_changed_protocol(board, changes, words):
    path = files(board)[0]
    data = json.loads(path.read_text())
    _protocol(data, **changes)
    entry = with_id(data)
    path.unlink()
    (board / f"{entry.entry_id}.json").write_text(entry.to_text())
    found = next(v for v in verify(board) if v.entry == entry)
    assert found.tier == "unverified"
    assert any(f.check == "protocol" and words in f.message for f in found.failures)


def test_rules_changed_without_the_hash_or_the_id(board):
    path = files(board)[0]
    change(path, lambda data: data["protocol"]["rules"].update(width="paper"))
    assert failed(board) == {"schema"}
    change(path, lambda data: _protocol(data))
    assert failed(board) == {"schema"}


@pytest.mark.parametrize(
    "how, check",
    [
        (lambda trials: trials.pop(0), "seeds"),
        (lambda trials: trials[1].update(seed=5), "seeds"),
        (lambda trials: trials.reverse(), "seeds"),
        (lambda trials: trials.clear(), "seeds"),
        (lambda trials: [t.update(seed=1 - t["seed"]) for t in trials], "artefacts"),
    ],
    ids=["one left out", "one renamed", "order", "none", "two exchanged"],
)
def test_a_changed_seed_list(board, how, check):
    change(files(board)[0], lambda data: how(data["trials"]))
    first, other = verify(board)
    assert check in {failure.check for failure in first.failures} and not other.failures
    assert first.tier == "unverified"


def of_splits(entry, count: int):
    """The first trial of an entry under the name of several class splits."""
    data = entry.model_dump()
    data["trials"] = [data["trials"][0] | {"split": split} for split in range(count)]
    return Entry.model_validate(data)


def test_one_training_under_the_names_of_class_splits(board):
    failures = check_entry(of_splits(read_entry(files(board)[0]), 5))
    first, *others = [failure for failure in failures if failure.check == "copies"]
    assert len(others) == 3
    assert "seed 0 and seed 0 of split 1 have the same embeddings" in first.message


@pytest.mark.parametrize("keys, message", [
    ([(0, 0), (0, 1), (1, 0), (1, 1)], None),
    ([(1, 0), (2, 0)], None),
    ([(0, 0), (0, 1), (1, 0)], "seed 1 of split 1 is missing: every class split"),
    ([(0, 1), (1, 0)], "seed 0, seed 1 of split 1 are missing: every class split"),
    ([(0, 0), (2, 0), (4, 0)], "of the class splits 1 to 4, 1, 3 are missing"),
    ([(1, 0), (0, 0)], "not in the order of their splits and seeds: seed 0 of split 1, seed 0"),
])  # fmt: skip
def test_every_class_split_has_the_same_seeds(make_entry, keys, message):
    data = make_entry().model_dump()
    (first, *_) = data["trials"]
    data["trials"] = [first | {"split": split, "seed": seed} for split, seed in keys]
    found = [f.message for f in check_entry(Entry.model_validate(data)) if f.check == "seeds"]
    assert len(found) == (message is not None)
    assert message is None or message in found[0]


def tuned_entry(make_entry, **best):
    tried = {"validation_map_at_r": 0.5, "reason": None, "train_seconds": 1.0}
    space = {"recipe.optimizer.head_lr": {}, "losses[0].margin": {}, "combiner.penalty": {}}
    start = {"recipe.optimizer.head_lr": 0.004, "losses[0].margin": 0.1, "combiner.penalty": 1}
    record = {
        "kind": "row", "setting_sha256": "a" * 64, "code_sha256": "b" * 64, "budget": 2,
        "seeds": [1000], "space": space, "sampler": "none",
        "trials": [
            tried | {"params": start}, tried | {"params": start | best, "validation_map_at_r": 0.6}
        ],
    }  # fmt: skip
    losses = [loss.model_dump() for loss in make_entry("triplet+ms", combiner="wedl").losses]
    losses[0]["params"] = {"margin": 0.3}
    recipe = {"optimizer": {"head_lr": 0.1}}
    return make_entry(losses, combiner="wedl", recipe=recipe, tuning=[record])


def test_a_tuned_row_has_the_values_that_its_record_chose(make_entry):
    best = {"recipe.optimizer.head_lr": 0.1, "losses[0].margin": 0.3, "combiner.penalty": None}
    assert not [f for f in check_entry(tuned_entry(make_entry, **best)) if f.check == "tuning"]
    other = tuned_entry(make_entry, **best | {"losses[0].margin": 0.2})
    (failure,) = (f for f in check_entry(other) if f.check == "tuning")
    assert failure.message == "losses[0].margin is 0.3; the best tuning trial has 0.2"


def test_a_training_copied_to_another_split_of_another_entry_is_named(board):
    one, other = map(read_entry, files(board))
    data = other.model_dump()
    data["trials"] = [of_splits(one, 2).model_dump()["trials"][1]]
    (clash,) = copies([one, Entry.model_validate(data)], ["a", "b"])
    assert clash.failure.message.startswith("seed 0 of a and seed 0 of split 1 of b have the same")


def test_an_attestation_keeps_class_splits_apart(board):
    path = files(board)[0]
    entry = of_splits(read_entry(path), 2)
    metrics = entry.trials[0].metrics
    part = Verified(path, entry, recomputed={(0, 0): metrics})
    assert attest(part, "somebody") is None, "one of two trials"
    whole = Verified(path, entry, recomputed={(0, 0): metrics, (1, 0): metrics})
    found = read_attestation(attest(whole, "somebody"))
    assert [trial.key for trial in found.trials] == [(0, 0), (1, 0)]
    assert recomputed(entry, found)


def test_failures_name_the_class_split(make_entry):
    data = make_entry(map_at_r=[], failed={0: "NaN at step 7"}).model_dump()
    data["trials"].append(data["trials"][0] | {"split": 2})
    assert failures(Entry.model_validate(data)) == [
        "seed 0 failed: NaN at step 7", "seed 0 of split 2 failed: NaN at step 7"
    ]  # fmt: skip


def test_trials_swapped_between_entries(board):
    one, two = (json.loads(path.read_text()) for path in files(board))
    one["trials"][0], two["trials"][0] = two["trials"][0], one["trials"][0]
    for path, data in zip(files(board), (one, two), strict=True):
        path.write_text(json.dumps(data))
    found = verify(board)
    assert all("artefacts" in {f.check for f in v.failures} for v in found)


def test_embeddings_copied_from_another_entry(board):
    """The file lies where it should, and its hash and metrics are in the entry."""
    one, two = map(read_entry, files(board))
    tensors = load_file(embeddings_file(board, one, 0))
    data = two.model_dump()
    out = board.parent.parent
    store(out, two, data["trials"][0], tensors["embeddings"], tensors["labels"])
    files(board)[1].write_text(json.dumps(data))
    found = verify(board)
    assert all({f.check for f in v.failures} == {"copies"} for v in found)
    # Within an entry, under another seed.
    tensors = load_file(embeddings_file(board, two, 1))
    store(out, two, data["trials"][0], tensors["embeddings"], tensors["labels"])
    files(board)[1].write_text(json.dumps(data))
    assert failed(board) == {"copies"}


def test_an_entry_in_another_folder(board):
    moved = board.parent / "other" / files(board)[0].name
    moved.parent.mkdir()
    change(files(board)[0], lambda data: data.update(submitter="Mallory"))
    moved.write_bytes(files(board)[0].read_bytes())
    change(files(board)[0], lambda data: data.update(submitter="them"))
    found = {v.path.parent.name: {f.check for f in v.failures} for v in verify(board.parent)
             if v.path.name == moved.name}  # fmt: skip
    assert found == {"glyphs": {"copies"}, "other": {"copies", "place"}}


@pytest.mark.parametrize(
    "how, check",
    [
        (lambda data: data["protocol"]["rules"].update(recall_at=[1, "a"]), "protocol"),
        (lambda data: data["protocol"]["rules"].update(recall_at=7), "protocol"),
        (lambda data: data["trials"][0]["metrics"].update(num_queries=10**400), "schema"),
        (lambda data: data["recipe"].update(epochs=10**12), "history"),
        (lambda data: data["recipe"].update(epochs=[{}]), "history"),
        (lambda data: data["trials"][1].update(seed=3 * 10**8), "schema"),
        (lambda data: data["trials"][1].update(seed=10**6), "seeds"),
        (lambda data: data.update(embedding_dim=10**30, head_dims=[10**30]), "schema"),
    ],
)  # fmt: skip
def test_wild_values_are_refused_and_stop_nobody(board, how, check, capsys):
    other = files(board)[1].name
    path = rewrite(files(board)[0], how)
    found = {v.path.name: v for v in verify(board)}
    assert check in {failure.check for failure in found[path.name].failures}
    assert found[other].tier == "recomputed" and not found[other].failures
    with pytest.raises(SystemExit) as stop:
        main(["leaderboard", "show", "--leaderboards", str(board)])
    assert stop.value.code == 0 and "checked" in capsys.readouterr().out


def test_the_same_training_twice_is_a_note_and_no_failure(board):
    """Two losses that do the same thing may honestly give the same bytes."""
    one, two = map(read_entry, files(board))
    data = two.model_dump()
    tensors = load_file(embeddings_file(board, one, 0))
    store(board.parent.parent, two, data["trials"][0], tensors["embeddings"], tensors["labels"])
    data["trials"][0]["history"] = one.model_dump()["trials"][0]["history"]
    files(board)[1].write_text(json.dumps(data))
    assert failed(board) == set() and "do the same" in str(verify(board)[0].notes)
    data["trials"][0]["cost"] = one.model_dump()["trials"][0]["cost"]
    files(board)[1].write_text(json.dumps(data))
    assert failed(board) == {"copies"}, "to the millisecond, it is no second training"


def test_an_epoch_picked_otherwise(board):
    change(files(board)[0], lambda data: data["trials"][0].update(best_epoch=1))
    assert failed(board) == {"selection"}


@pytest.mark.parametrize("path", ["../../../secret", "/etc/passwd", "a/../../../../x"])
def test_embeddings_outside_of_the_leaderboards_are_never_opened(board, path):
    change(files(board)[0], lambda data: data["trials"][0]["embeddings"].update(path=path))
    assert {"artefacts", "embeddings"} <= failed(board)


def test_embeddings_that_are_no_safetensors(board):
    entry = read_entry(files(board)[0])
    path = embeddings_file(board, entry, 0)
    path.write_bytes(b"\x80\x04cos\nsystem\n")
    relative = entry.trials[0].embeddings.path
    change(files(board)[0], lambda data: refer(board.parent.parent, data["trials"][0], relative))
    assert failed(board) == {"embeddings"}


def test_a_recorded_tier_holds_as_long_as_entry_and_embeddings_do(board):
    path = files(board)[0]
    entry = read_entry(path)
    assert tier(entry, board) == "checked"
    attestation = attest(verify(path)[0], "somebody")
    assert attest(verify(path)[0], "somebody") is None, "said already"
    assert tier(entry, board) == tier(entry, board.parent.parent) == "recomputed"
    frame = dmlbench.read_leaderboard(board)
    assert dict(zip(frame["entry_id"], frame["tier"], strict=True))[entry.entry_id] == "recomputed"
    # Embeddings that change afterwards.
    stored = embeddings_file(board, entry, 0)
    good = stored.read_bytes()
    stored.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    later = attestation.stat().st_mtime + 5
    os.utime(stored, (later, later))
    assert tier(entry, board) == "checked"
    stored.write_bytes(good)
    assert tier(entry, board) == "recomputed"
    # Embeddings that are not here: what was attested of them stands.
    stored.unlink()
    assert tier(entry, board) == "recomputed"
    # An attestation that was edited is none.
    text = attestation.read_text()
    attestation.write_text(text.replace("somebody", "somebady"))
    assert tier(entry, board) == "checked" and failed(board) == {"attestation"}
    attestation.write_text(text)
    # An entry that changes afterwards.
    change(path, lambda data: data.update(submitter="another"))
    assert tier(read_entry(path), board) == "checked"
    assert any("void" in note for note in verify(path)[0].notes)


def test_an_attestation_with_other_numbers_attests_nothing(board):
    from dmlbench.leaderboard.entries.attestation import Attestation, write_attestation

    path = files(board)[0]
    data = json.loads(attest(verify(path)[0], "somebody").read_text())
    for file in board.glob("_attestations/*.json"):
        file.unlink()
    data["trials"][0]["metrics"]["map_at_r"] += 0.01
    data["trials"][0]["metrics"]["r_precision"] = 1.0
    write_attestation(board, Attestation.model_validate(data))
    assert tier(read_entry(path), board) == "checked"
    assert failed(board) == {"attestation"}


def test_the_command(board, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["leaderboard", "verify", *map(str, arguments)])
        return stop.value.code, capsys.readouterr().out

    at = ("--leaderboards", board)
    code, text = run(*at)
    assert code == 0 and text.endswith("\n2 recomputed.\n")
    code, text = run(*at, "--quick", "--json")
    assert code == 0 and [row["tier"] for row in json.loads(text)] == ["checked", "checked"]
    code, text = run(*at, "--name", "me")
    assert code == 0 and len(list(board.glob("_attestations/*.json"))) == 2
    (board / "bad\x1b[31m.json").write_text("{")
    change(files(board)[0], lambda data: data["trials"][0].update(best_epoch=1))
    code, text = run(*at)
    assert code == 4 and "! selection: seed 0 tested epoch 1" in text
    assert "! schema: is not valid JSON" in text and "\x1b" not in text
    assert text.endswith("\n1 recomputed, 2 failed.\n")
    assert run(board / "nothing")[0] == 2
    (board / "entry.txt").write_text("{}")
    assert run(board / "entry.txt")[0] == 2
    assert run(*at, "--quick", "--name", "me")[0] == 2


def test_what_the_repository_holds_stands_its_checks():
    """Published results, and the entries of this project's own leaderboards."""
    found = verify(Path(__file__).parents[3] / "leaderboards", embeddings=False)
    assert [v.path.name for v in found if v.failures] == []
    assert sum(v.entry is None and v.tier == "unverified" for v in found) >= 48
