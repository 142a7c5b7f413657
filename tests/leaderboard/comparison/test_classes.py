"""The table of classes, against one computed query by query; and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from made_board import embeddings_file, refer, with_id
from safetensors.numpy import load_file, save_file

from dmlbench.cli import main
from dmlbench.errors import VerificationError
from dmlbench.leaderboard.comparison.classes import class_table
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import read_entries, write_entry


def by_hand(file: Path):
    """Of each label: MAP@R and Recall@1; of each pair of labels: how many queries miss so."""
    tensors = load_file(file)
    rows, labels = tensors["embeddings"].astype(float), tensors["labels"]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    precision, recall, pairs = {}, {}, {}
    for query in range(len(rows)):
        order = [i for i in np.argsort(-(rows @ rows[query])) if i != query]
        own = [labels[i] == labels[query] for i in order]
        relevant = sum(own)
        if not relevant:
            continue
        first = own[:relevant]
        average = sum(sum(first[: i + 1]) / (i + 1) for i in range(relevant) if first[i]) / relevant
        label = int(labels[query])
        precision.setdefault(label, []).append(average)
        recall.setdefault(label, []).append(own[0])
        if not own[0]:
            pair = label, int(labels[order[0]])
            pairs[pair] = pairs.get(pair, 0) + 1
    return precision, recall, pairs


def call(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code, *capsys.readouterr()


def test_every_number_is_the_mean_over_trials_of_what_single_queries_give(board):
    entry = read_entries(board)[0][0]
    table = class_table(entry, board)
    parts = [by_hand(embeddings_file(board, entry, seed)) for seed in (0, 1)]
    assert [trial.seed for trial in table.trials] == [0, 1] and table.missing == ()
    before = entry.dataset.num_train_classes
    assert {one.number - before for one in table.classes} == set(parts[0][0])
    for one in table.classes:
        values = [np.mean(part[0][one.number - before]) for part in parts]
        assert one.map_at_r == pytest.approx(np.mean(values))
        assert one.map_at_r_sd == pytest.approx(np.std(values, ddof=1))
        hits = [np.mean(part[1][one.number - before]) for part in parts]
        assert one.recall_at_1 == pytest.approx(np.mean(hits))
        assert (one.images, one.trials) == (len(parts[0][0][one.number - before]), 2)
    assert [one.map_at_r for one in table.classes] == sorted(
        (one.map_at_r for one in table.classes), reverse=True
    )
    pairs = {(one.number - before, one.nearest - before): one for one in table.confusions}
    assert set(pairs) == set(parts[0][2]) | set(parts[1][2]) and len(pairs) > 2
    for pair, one in pairs.items():
        mean = (parts[0][2].get(pair, 0) + parts[1][2].get(pair, 0)) / 2
        assert one.queries == mean and one.share == mean / len(parts[0][0][pair[0]])
    # Misses of Recall@1 and confusions are the same queries.
    misses = sum(one.images * (1 - one.recall_at_1) for one in table.classes)
    assert sum(one.queries for one in table.confusions) == pytest.approx(misses)


def test_a_class_that_one_class_split_tests_is_averaged_over_the_trials_that_tested_it(board):
    entry = read_entries(board)[0][0]
    data = entry.model_dump()
    file = embeddings_file(board, entry, 1)
    tensors = load_file(file)
    # Seed 1 as a trial of split 1, which tests the dataset's classes 0 to 4 and 6.
    save_file(tensors | {"classes": np.array([0, 1, 2, 3, 4, 6])}, file)
    refer(board.parent.parent, data["trials"][1], str(file.relative_to(board.parent.parent)))
    dataset = {k: v for k, v in data["dataset"].items() if k.startswith("num_")}
    data["trials"][1] |= {
        "split": 1, "data": dataset | {"fingerprint": "0" * 64, "report": []}
    }  # fmt: skip
    table = class_table(with_id(data), board)
    trials = {one.number: one.trials for one in table.classes}
    assert trials == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1, 6: 2, 7: 1, 8: 1, 9: 1, 10: 1, 11: 1}
    _, _, pairs = by_hand(file)
    one_trial = {(p.number, p.nearest): p.queries for p in table.confusions if p.number < 6}
    numbers = [0, 1, 2, 3, 4, 6]
    expected = {(numbers[a], numbers[b]): n for (a, b), n in pairs.items() if numbers[a] < 6}
    assert one_trial == expected


def test_csv_and_json_hold_every_class_with_its_name(board, glyphs, capsys):
    entry = read_entries(board)[0][0]
    given = ["info", entry.entry_id, "--leaderboards", str(board.parent.parent), "--classes"]
    code, out, err = call(capsys, *given, "--csv")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert {row["class"] for row in rows} == set(glyphs.test.class_names)
    found = json.loads(call(capsys, *given, "--json")[1])
    for row, one in zip(rows, found["classes"], strict=True):
        name = glyphs.test.class_names[one["number"] - len(glyphs.train.class_names)]
        assert row["class"] == one["class"] == name
        assert float(row["map_at_r"]) == one["map_at_r"]
        own = [pair for pair in found["confusions"] if pair["class"] == name]
        most = max(own, key=lambda pair: pair["queries"])["nearest_class"] if own else ""
        assert row["confused_with"] == most
    code, out, _ = call(capsys, *given)
    assert code == 0 and "Nearest image is of" in out and "seed 0, seed 1" in out
    assert all(name in out for name in glyphs.test.class_names)


def test_without_the_dataset_classes_are_numbered_and_it_is_said(board, capsys):
    entry = read_entries(board)[0][0]
    data = entry.model_dump()
    data["dataset"]["fingerprint"] = "0" * 64
    path = write_entry(board.parent.parent, Entry.model_validate(data))
    code, out, err = call(capsys, "info", str(path), "--classes")
    assert code == 0 and "class 11" in out
    assert "Classes are numbered instead of named" in err and "fingerprint differs" in err


def test_trials_without_stored_embeddings_are_named_and_an_entry_without_any_is_refused(
    board, capsys
):
    entry = read_entries(board)[0][0]
    given = ["info", entry.entry_id, "--leaderboards", str(board.parent.parent), "--classes"]
    embeddings_file(board, entry, 0).unlink()
    code, out, err = call(capsys, *given)
    assert code == 0 and "seed 1." in out and "±" not in out
    assert "No embeddings are stored of seed 0" in err
    embeddings_file(board, entry, 1).unlink()
    code, out, err = call(capsys, *given)
    assert (code, out) == (4, "") and "No test embeddings of entry" in err


def test_embeddings_that_do_not_give_the_metrics_of_the_entry_are_refused(board):
    entry = read_entries(board)[0][0]
    data = entry.model_dump()
    data["trials"][0]["metrics"]["map_at_r"] *= 0.9
    with pytest.raises(VerificationError, match="do not give its MAP@R"):
        class_table(Entry.model_validate(data), board)


@pytest.mark.parametrize(
    "given, message",
    [
        (["ms", "--classes"], "--classes shows an entry; 'ms' is not one"),
        (["0123", "--csv"], "give --classes too"),
        (["0123", "--classes", "--csv", "--json"], "take one"),
    ],
)
def test_options_that_do_not_fit_are_refused(capsys, given, message):
    code, out, err = call(capsys, "info", *given)
    assert (code, out) == (2, "") and message in err
