"""The store: atomic writes, and every kind of bad file refused by name without stopping others."""

from __future__ import annotations

import json
import multiprocessing
import os
import threading

import pytest
from words import refused

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries import store
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import (
    entry_path,
    find_entry,
    leaderboard_folders,
    read_entries,
    read_leaderboards,
    write_entry,
)


def test_round_trip(make_entry, tmp_path):
    entry = make_entry()
    path = write_entry(tmp_path, entry)
    assert path == tmp_path / "zsl-v1" / "glyphs" / f"{entry.entry_id}.json"
    assert read_entries(path.parent) == ([entry], [])
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o444 == 0o444 & ~os.umask(os.umask(0))


def test_entries_come_in_the_order_of_their_ids(make_entry, tmp_path):
    for name in ("triplet", "contrastive", "arcface", "circle"):
        folder = write_entry(tmp_path, make_entry(name)).parent
    ids = [entry.entry_id for entry in read_entries(folder)[0]]
    assert ids == sorted(ids) and len(ids) == 4


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", ".hidden", "a\n", "x" * 101, "a."])
def test_unsafe_names_are_refused(name, tmp_path):
    with refused(UsageError, repr(name)):
        entry_path(tmp_path, "zsl-v1", name, "0" * 16)
    with refused(UsageError, repr(name)):
        entry_path(tmp_path, name, "glyphs", "0" * 16)


@pytest.mark.parametrize("entry_id", ["", "../../x", "0" * 15, "G" * 16])
def test_unsafe_ids_are_refused(entry_id, tmp_path):
    with refused(UsageError, entry_id):
        entry_path(tmp_path, "zsl-v1", "glyphs", entry_id)


def test_a_write_that_fails_leaves_the_old_entry_whole(make_entry, tmp_path, monkeypatch):
    entry = make_entry()
    path = write_entry(tmp_path, entry)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(store.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_entry(tmp_path, entry.model_copy(update={"submitter": "someone"}))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_nothing_is_written_that_cannot_be_read(make_entry, tmp_path):
    wrong = make_entry().model_copy(update={"entry_id": "0" * 16})
    with refused(VerificationError, "entry_id"):
        write_entry(tmp_path, wrong)
    assert list(tmp_path.rglob("*.json")) == []


def _write_often(out, text):
    from dmlbench.leaderboard.entries.entry import parse_entry

    entry = parse_entry(text, "test")
    for _ in range(20):
        write_entry(out, entry)


def test_two_writers_at_once_never_show_half_an_entry(make_entry, tmp_path):
    entries = [make_entry(submitter=name * 5000) for name in ("a", "b")]
    path = write_entry(tmp_path, entries[0])
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=_write_often, args=(tmp_path, entry.to_text())) for entry in entries
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found, problems = read_entries(path.parent)
        assert problems == [] and found[0] in entries
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert os.listdir(path.parent) == [path.name]


def _nested(depth):
    return '{"schema_version": 1, "recipe": ' + "[" * depth + "]" * depth + "}"


def _bad_files(good: str) -> dict[str, tuple[bytes, str]]:
    """File name -> content and what the refusal says."""
    data = json.loads(good)
    entry_id = data["entry_id"]
    return {
        "truncated.json": (good[: len(good) // 2].encode(), "not valid JSON"),
        "empty.json": (b"", "not valid JSON"),
        "latin.json": (good.replace("glyphs", "gl\xffphs").encode("latin-1"), "not UTF-8"),
        "utf16.json": (good.encode("utf-16"), "not UTF-8"),
        "deep.json": (_nested(200_000).encode(), "JSON|nested"),
        "deepish.json": (_nested(700).encode(), "deepish.json"),
        "list.json": (b"[1, 2]", "entry"),
        "other.json": (b'{"a": 1}', "schema_version"),
        "nan.json": (good.replace("0.51", "NaN").encode(), "NaN"),
        "infinite.json": (good.replace("0.51", "1e999").encode(), "infinite.json"),
        "newer.json": (json.dumps(data | {"schema_version": 9}).encode(), "schema version 9"),
        "field.json": (json.dumps(data | {"rank": 1}).encode(), "rank"),
        f"{'0' * 16}.json": (good.encode(), f"its name must be {entry_id}.json"),
    }


def test_bad_files_are_refused_by_name_and_stop_nothing(make_entry, tmp_path):
    good = make_entry()
    folder = write_entry(tmp_path, good).parent
    for name, (content, _) in (bad := _bad_files(good.to_text())).items():
        (folder / name).write_bytes(content)
    entries, problems = read_entries(folder)
    assert entries == [good]
    assert len(problems) == len(bad)
    for name, (_, reason) in bad.items():
        (problem,) = [p for p in problems if str(folder / name) in p]
        assert any(part in problem for part in reason.split("|")), problem


def test_an_enormous_file_is_refused_unread(make_entry, tmp_path, monkeypatch):
    folder = write_entry(tmp_path, make_entry()).parent
    with open(folder / "big.json", "wb") as file:
        file.truncate(store.MAX_ENTRY_BYTES + 1)
    entries, problems = read_entries(folder)
    assert len(entries) == 1
    assert "big.json" in problems[0] and "more than 67108864 bytes" in problems[0]


def test_what_is_no_file_is_refused_without_waiting(make_entry, tmp_path):
    folder = write_entry(tmp_path, make_entry()).parent
    os.mkfifo(folder / "pipe.json")
    (folder / "folder.json").mkdir()
    (folder / "gone.json").symlink_to("nowhere")
    result = []
    # In a thread, so that waiting for the pipe would fail the test and not hang it.
    reader = threading.Thread(target=lambda: result.extend(read_entries(folder)), daemon=True)
    reader.start()
    reader.join(timeout=10)
    assert not reader.is_alive()
    entries, problems = result
    assert len(entries) == 1
    assert [p for p in problems if "pipe.json is not a regular file" in p]
    assert [p for p in problems if "folder.json is not a regular file" in p]
    assert [p for p in problems if "gone.json cannot be read" in p]


def test_leaderboards_are_found_from_every_level(make_entry, tmp_path):
    glyphs = write_entry(tmp_path, make_entry()).parent
    other = write_entry(tmp_path, make_entry(dataset="other")).parent
    hidden = tmp_path / ".trials" / "x"
    hidden.mkdir(parents=True)
    (hidden / "result.json").write_text("{}")
    assert leaderboard_folders(tmp_path) == [glyphs, other]
    assert leaderboard_folders(tmp_path / "zsl-v1") == [glyphs, other]
    assert leaderboard_folders(glyphs) == [glyphs]
    assert len(read_leaderboards(tmp_path)[0]) == 2
    assert [e.dataset.name for e in read_leaderboards(tmp_path, "other")[0]] == ["other"]
    with refused(UsageError, "cub", "glyphs, other"):
        read_leaderboards(tmp_path, "cub")


def test_nothing_there_says_what_to_run(tmp_path):
    with refused(UsageError, "dmlbench run"):
        read_leaderboards(tmp_path)
    with refused(UsageError, "nowhere", "dmlbench run"):
        read_leaderboards(tmp_path / "nowhere")
    (tmp_path / "bad.json").write_text("{")
    with refused(UsageError, "bad.json"):
        read_leaderboards(tmp_path)


def test_find_by_prefix_and_by_path(make_entry, tmp_path):
    entries = [make_entry(f"loss-{i}") for i in range(20)]
    paths = [write_entry(tmp_path, entry) for entry in entries]
    assert find_entry(tmp_path, entries[3].entry_id) == entries[3]
    assert find_entry(tmp_path, entries[3].entry_id[:10].upper()) == entries[3]
    assert find_entry(tmp_path, str(paths[5])) == entries[5]
    firsts = [entry.entry_id[0] for entry in entries]
    shared = max(firsts, key=firsts.count)
    with pytest.raises(UsageError, match=f"{shared} matches {firsts.count(shared)} entries: "):
        find_entry(tmp_path, shared)
    with refused(UsageError, "0123456789"):
        find_entry(tmp_path, "0123456789")
    with refused(UsageError, "triplet"):
        find_entry(tmp_path, "triplet")
    with refused(UsageError, "x/y.json"):
        find_entry(tmp_path, "x/y.json")


def test_an_environment_nested_too_deeply_is_refused(make_entry, tmp_path):
    path = write_entry(tmp_path, make_entry())
    data = json.loads(path.read_text())
    data["trials"][0]["environment"] = json.loads(_nested(58))
    path.write_text(json.dumps(data))
    assert len(read_entries(path.parent)[0]) == 1
    data["trials"][0]["environment"] = json.loads(_nested(70))
    path.write_text(json.dumps(data))
    assert read_entries(path.parent) == (
        [],
        [f"{path} is nested too deeply for an entry: more than 64 levels."],
    )


def test_trials_are_told_apart_by_split_and_seed(make_entry):
    entry = make_entry(map_at_r=[0.5, 0.5], seeds=[0, 1])
    data = entry.model_dump()
    data["trials"][1] |= {"split": 1, "seed": 0}
    again = Entry.model_validate(data)
    assert [trial.key for trial in again.trials] == [(0, 0), (1, 0)]
    assert [trial.title for trial in again.trials] == ["seed 0", "seed 0 of split 1"]
    data["trials"][1] |= {"split": 0}
    with pytest.raises(ValueError, match=r"a seed appears twice among the trials: \[0, 0\]"):
        Entry.model_validate(data)
    # The field came later: what was said without it has the hash that it had.
    without = entry.model_dump()
    for trial in without["trials"]:
        del trial["split"]
    assert Entry.model_validate(without).content_sha256() == entry.content_sha256()
