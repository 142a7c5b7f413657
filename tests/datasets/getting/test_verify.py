"""`dmlbench data` and a trial on a small set, as a user meets them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.datasets.benchmark import count
from dmlbench.datasets.getting import verify as module
from dmlbench.datasets.getting.verify import names, verify
from dmlbench.datasets.published import Counts


def call(capsys, *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        main(["data", *arguments])
    captured = capsys.readouterr()
    return stop.value.code, captured.out, captured.err


@pytest.fixture
def published(small, tmp_path, monkeypatch):
    """Small sets in the data folder, whose numbers count as the published ones."""

    def call(name: str):
        root = small.write(small.files(name), tmp_path / "data" / name)
        dataset = module.benchmark(name)
        listed = dataset.listed(dataset.find())
        monkeypatch.setitem(module.PUBLISHED, name, count(listed))
        return root, listed

    return call


@pytest.mark.parametrize("name", names())
def test_a_whole_set_verifies(published, name, capsys):
    published(name)
    found = verify(name, decode=True)
    assert found.problems == () and found.counts == found.published
    code, out, _ = call(capsys, "verify", name)
    assert code == 0 and "as far as numbers tell" in out


def test_the_numbers_of_a_small_set(small, tmp_path):
    found = verify("inshop", str(small.write(small.inshop(), tmp_path / "root")))
    assert found.counts == Counts(
        images=20,
        train_classes=2,
        test_classes=3,
        train_images=8,
        test_images=6,
        gallery_images=6,
    )
    assert "listed: 20 images instead of 52,712" in found.problems
    assert "listed: 3 test classes instead of 3,985" in found.problems
    assert "listed: 6 gallery images instead of 12,612" in found.problems


def test_missing_empty_and_broken_images_are_named(published, capsys):
    root, listed = published("cub")
    first, second, third, fourth = listed[:4]
    first.path.unlink()
    second.path.write_bytes(b"")
    third.path.write_bytes(third.path.read_bytes()[:200])
    lost = [item for item in listed if item.label == fourth.label]
    for item in lost:
        item.path.unlink()
    found = verify("cub")
    assert f"missing: 3 images: {first.id}, {fourth.id}, {lost[1].id}" in found.problems
    assert f"empty: 1 images: {second.id}" in found.problems
    assert f"without any image: 1 classes: {fourth.label}" in found.problems
    assert len(found.problems) == 3 and found.counts.images == len(listed) - 4
    broken = verify("cub", decode=True).problems[-1]
    assert broken.startswith(f"not decodable: 1 images: {third.id} (")
    code, out, _ = call(capsys, "verify", "cub", "--decode")
    assert code == 4 and "DIFFERS  missing: 3 images" in out and broken in out
    code, out, _ = call(capsys, "verify", "cub", "--json")
    assert code == 4 and json.loads(out)["problems"] == list(found.problems)


def test_an_image_listed_twice(published, small, tmp_path):
    files = small.inshop()
    head, _, rest = files["list_eval_partition.txt"].decode().partition("\n")
    row = rest.splitlines()[1]
    files["list_eval_partition.txt"] = f"21\n{rest}{row}\n".encode()
    found = verify("inshop", str(small.write(files, tmp_path / "root")))
    assert any(line.startswith("listed twice: 1 images: img/") for line in found.problems)


def test_verify_without_the_set_and_of_an_unknown_name(capsys):
    code, out, err = call(capsys, "verify", "sop")
    assert code == 1 and out == "" and "dmlbench data get sop" in err
    code, _, err = call(capsys, "verify", "glyphs")
    assert code == 2 and "These are: cub" in err


def test_list_says_what_is_there(published, tmp_path, capsys):
    published("cub")
    (tmp_path / "data" / "pets" / "images").mkdir(parents=True)
    code, out, _ = call(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    states = {name: row["state"] for name, row in rows.items()}
    assert code == 0 and states == {
        "cub": "there",
        "cars": "not there",
        "sop": "not there",
        "inshop": "not there",
        "flowers": "not there",
        "pets": "incomplete",
    }
    assert rows["cub"]["place"] == str(tmp_path / "data" / "cub")
    assert "annotations/list.txt" in rows["pets"]["problem"]
    _, table, _ = call(capsys, "list")
    assert all(name in table for name in rows) and "incomplete" in table


def test_get_takes_what_the_user_has(small, tmp_path, capsys):
    mine = small.write(small.sop(), tmp_path / "mine")
    code, out, _ = call(capsys, "get", "sop", "--root", str(mine))
    assert code == 0 and str(mine) in out
    code, out, _ = call(capsys, "list", "--json")
    assert {row["name"]: row["place"] for row in json.loads(out)}["sop"] == str(mine)
    code, out, _ = call(capsys, "get", "sop", "--json")
    assert json.loads(out) == {"name": "sop", "place": str(mine)}


def test_get_says_on_stderr_what_is_to_be_done_by_hand(capsys):
    code, out, err = call(capsys, "get", "inshop")
    assert code == 1 and out == "" and "list_eval_partition.txt" in err


def test_interrupted_on_a_terminal_it_shows_bars_and_goes_on_later(
    web, small, tmp_path, on_a_terminal
):
    files = {**small.inshop(), "img/padding": random.Random(0).randbytes(1 << 19)}
    web.files["img.zip"] = small.pack(files, "img", form="zip")
    web.files["list_eval_partition.txt"] = files["list_eval_partition.txt"]
    web.etags["img.zip"] = '"one"'
    web.pause_seconds = 0.05
    command = [sys.executable, "-m", "dmlbench", "data", "get", "inshop", "--url", web.url]
    shown = on_a_terminal(command, stop=lambda seen: seen.count(b" of ") > 3)
    assert shown.code == 130
    assert b"img.zip" in shown.terminal and b"run again to resume" in shown.terminal
    kept = (tmp_path / "data" / "inshop" / "img.zip.part").stat().st_size
    assert 0 < kept < len(web.files["img.zip"])
    web.pause_seconds = 0.0
    web.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and str(tmp_path / "data" / "inshop") in done.stdout
    assert web.asked[0] == ("img.zip", f"bytes={kept}-")
    # Without a terminal: what was done, and no bars.
    assert "no published checksum is known" in done.stderr and " of " not in done.stderr
    assert verify("inshop").counts.images == 20


def test_a_run_without_the_data_ends_with_the_ways_out(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "run",
                "--dataset",
                "cub",
                "--losses",
                "triplet",
                "--leaderboards",
                str(tmp_path / "out"),
            ]
        )
    err = capsys.readouterr().err
    assert stop.value.code == 2 and "cub" in err and "dmlbench data get cub" in err


def test_a_trial_on_a_small_set_from_image_files_to_the_entry(small, tmp_path):
    small.write(small.cub(classes=range(93, 109), each=4), tmp_path / "data" / "cub")
    (entry,) = dmlbench.run(
        losses=["triplet"],
        combiners=[],
        dataset="cub",
        seeds=[0],
        out=tmp_path / "out",
        jobs=1,
        device="cpu",
        overrides={
            "recipe.epochs": 1,
            "recipe.input.size": 16,
            "recipe.input.resize": 16,
            "recipe.batch.classes": 4,
            "recipe.batch.images": 2,
            "recipe.embedding_dim": 8,
        },
    )
    (trial,) = entry.trials
    assert trial.status == "completed" and trial.metrics.num_queries == 32
    assert entry.dataset.num_train_classes == entry.dataset.num_test_classes == 8
    assert entry.dataset.params == {"root": None}
    # An entry of another set than the published one says so.
    assert "not the published cub: 64 images instead of 11,788" in entry.dataset.report
    assert os.fspath(tmp_path) not in entry.to_text()
