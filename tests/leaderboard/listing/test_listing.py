"""Listings: the same rows with and without a cache, whatever happens to it, and filters."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading

import pandas
import pytest

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.store import read_leaderboards, write_entry
from dmlbench.leaderboard.listing import reader
from dmlbench.leaderboard.listing.board import lay_out
from dmlbench.leaderboard.listing.cache import ListingCache
from dmlbench.leaderboard.listing.filters import Filters
from dmlbench.leaderboard.listing.listing import open_listing
from dmlbench.leaderboard.listing.names import entry_file
from dmlbench.leaderboard.verification.tiers import Tiers


@pytest.fixture
def folder(tmp_path, make_entry, monkeypatch):
    """A board of two groups, its files older than a tick of any clock."""
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    levels = {"triplet": 0.50, "multi-similarity": 0.55, "circle": 0.2}
    for dataset in ("glyphs", "other"):
        for name, level in levels.items():
            values = [level + 0.01 * (i % 3) for i in range(5)]
            write_entry(tmp_path / "out", make_entry(name, values, dataset=dataset))
        both = make_entry("triplet+multi-similarity", [0.6, 0.61, 0.6, 0.62, 0.61],
                          combiner="wedl", dataset=dataset)  # fmt: skip
        write_entry(tmp_path / "out", both)
    settle(tmp_path / "out")
    return tmp_path / "out"


def settle(folder):
    for path in folder.rglob("*.json"):
        long_ago = path.stat().st_mtime_ns - 10**11
        os.utime(path, ns=(long_ago, long_ago))


def rows(folder, **options):
    return lay_out(open_listing(folder, **options)).frame


@pytest.fixture
def counted(monkeypatch):
    """How many files were read."""
    read = []
    real = reader.read_entry_values
    monkeypatch.setattr(reader, "read_entry_values", lambda path: read.append(path) or real(path))
    return read


def test_rows_and_verdicts_are_those_of_whole_entries(folder):
    entries, _ = read_leaderboards(folder)
    verification = Tiers(folder).verification
    for _ in range(2):  # from files, and from the cache
        board = lay_out(open_listing(folder))
        pandas.testing.assert_frame_equal(
            board.frame, leaderboard_frame(entries, verification=verification)
        )
        assert board.verdicts == verdicts(entries, verification=verification)


def test_files_are_read_once_and_again_where_they_changed(folder, counted, make_entry):
    rows(folder)
    assert len(counted) == 8
    rows(folder)
    assert len(counted) == 8
    new = write_entry(folder, make_entry("arcface", [0.4] * 5))
    assert len(rows(folder)) == 9 and counted[8:] == [new]
    new.unlink()
    assert len(rows(folder)) == 8 and len(counted) == 9


def test_a_change_that_keeps_size_time_and_inode_is_seen(folder, counted):
    rows(folder)
    path = counted[0]
    before = path.stat()
    text = path.read_text("utf-8").replace('"failed_step": null', '"failed_stop": null', 1)
    path.unlink()
    path.write_text(text)
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    listing = open_listing(folder)
    assert len(listing.rows) == 7 and "failed_step" in listing.problems[0]


def test_what_has_just_changed_is_not_kept(folder, counted):
    path = next(folder.rglob("*.json"))
    os.utime(path)
    rows(folder)
    rows(folder)
    assert len(counted) == 9


@pytest.mark.parametrize("damage", ["text", "empty", "half", "folder", "row", "packed", "lost"])
def test_a_damaged_cache_changes_nothing(folder, damage, monkeypatch):
    expected = rows(folder)
    file = ListingCache(folder).file
    if damage == "text":
        file.write_text("no database " * 1000)
    elif damage == "empty":
        file.write_text("")
    elif damage == "half":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    elif damage == "folder":
        file.unlink()
        file.mkdir()
    elif damage == "lost":
        listing = open_listing(folder)
        file.unlink()
        pandas.testing.assert_frame_equal(lay_out(listing).frame, expected)
    else:
        change = {
            "row": """UPDATE files SET "group" = 'elsewhere'""",
            "packed": "UPDATE files SET packed = zeroblob(length(packed))",
        }[damage]
        with sqlite3.connect(file) as database:
            database.execute(change)
        database.close()
    for _ in range(2):
        pandas.testing.assert_frame_equal(rows(folder), expected)


def test_without_a_place_for_a_cache_it_works(folder, monkeypatch):
    expected = rows(folder, use_cache=False)
    file = folder.parent / "taken"
    file.write_text("")
    monkeypatch.setenv("DMLBENCH_CACHE", str(file))
    pandas.testing.assert_frame_equal(rows(folder), expected)


def test_no_cache_reads_and_writes_none(folder, counted):
    rows(folder, use_cache=False)
    rows(folder, use_cache=False)
    assert len(counted) == 16 and not (folder.parent / "cache").exists()


def test_readers_at_once_get_the_same(folder):
    expected = rows(folder, use_cache=False)
    found = []
    threads = [threading.Thread(target=lambda: found.append(rows(folder))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(frame.equals(expected) for frame in found)


def test_another_reader_reads_again(folder, counted, monkeypatch):
    rows(folder)
    monkeypatch.setattr("dmlbench.leaderboard.listing.cache._reader_version", lambda: "another")
    rows(folder)
    assert len(counted) == 16


def test_processes_read_what_one_does(folder, monkeypatch):
    expected = rows(folder, use_cache=False)
    monkeypatch.setattr(reader, "_FEW", 2)
    monkeypatch.setattr(reader, "_BATCH", 2)
    monkeypatch.setattr(reader.os, "cpu_count", lambda: 2)
    pandas.testing.assert_frame_equal(rows(folder, use_cache=False), expected)


def test_verification_reads_files_and_never_the_cache(folder):
    from dmlbench.leaderboard.verification.verify import verify

    rows(folder)
    path = next(folder.rglob("*.json"))
    before = path.stat()
    data = json.loads(path.read_text("utf-8"))
    data["trials"][0]["metrics"]["map_at_r"] = 0.99
    with open(path, "r+", encoding="utf-8") as file:  # in place, as the cache cannot see
        text = json.dumps(data, sort_keys=True, indent=1)
        file.write(text.ljust(before.st_size))
        file.truncate()
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    failed = [found.path for found in verify(folder, embeddings=False) if found.failures]
    assert path in failed


def test_filters_choose_rows_and_change_no_rank(folder):
    whole = rows(folder).set_index("key")
    listing = open_listing(folder)

    def kept(**filters):
        chosen = Filters(**filters)
        return chosen.keep_all(lay_out(chosen.listing(listing)).frame)

    found = kept(losses=("triplet",), dataset="glyphs")
    assert sorted(found["name"]) == ["triplet", "wedl(triplet + multi-similarity)"]
    assert all(whole.loc[row.key, "rank_low"] == row.rank_low for row in found.itertuples())
    assert set(kept(combiner="none")["combiner"]) == {None}
    assert set(kept(combiner="wedl")["combiner"]) == {"wedl"}
    assert kept(losses=("triplet", "multi-similarity"))["name"].nunique() == 1
    assert len(kept(top=1)) == 2 and set(kept(top=1)["position"]) == {1}
    assert len(kept(backbone="resnet-mini")) == len(kept(recipe="quick")) == 8
    assert kept(tier="confirmed").empty
    assert "triplet" in str(pytest.raises(UsageError, Filters(losses=("x",)).check, listing).value)


def test_entries_are_found_by_unique_names(folder, make_entry, make_component):
    board = folder / "zsl-v1" / "glyphs"
    ids = {row.label: row.entry_id for row in open_listing(board).rows}
    assert entry_file(board, "triplet").stem == ids["triplet"]
    assert entry_file(board, "ms").stem == ids["multi-similarity"]
    combined = ids["wedl(triplet + multi-similarity)"]
    for name in ("wedl(triplet + multi-similarity)", "learned(triplet, ms)", combined[:6]):
        assert entry_file(board, name).stem == combined
    changed = make_component("multi-similarity", params={"alpha": 3.0})
    write_entry(folder, make_entry([changed], [0.4] * 5))
    assert entry_file(board, "ms").stem == ids["multi-similarity"]  # not the one with parameters
    with pytest.raises(UsageError, match=r"triplet names 2 entries: .* on glyphs.* on other"):
        entry_file(folder, "triplet")
    with pytest.raises(UsageError, match="no entry that is named arcface"):
        entry_file(board, "arcface")


def test_every_tier_can_be_chosen():
    from dmlbench.cli.leaderboard import filter_options
    from dmlbench.leaderboard.verification.tiers import TIERS

    assert filter_options._TIERS == TIERS


def test_rows_are_of_all_code_that_makes_them():
    """The rooms that reading imports, and the recipes and built-ins that labels compare with."""
    from dmlbench.leaderboard.listing import cache

    program = (
        "import sys, dmlbench.leaderboard.listing.reader, dmlbench.plugins.builtins\n"
        "print(*{name.rpartition('.')[0] for name in sys.modules if name.startswith('dmlbench.')})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    rooms = {name.removeprefix("dmlbench.").replace(".", "/") for name in done.stdout.split()}
    # Files of images and the roots decide nothing that a row has.
    assert "statistics" in rooms
    assert rooms - {"dmlbench", "leaderboard", "data"} <= set(cache._READERS)
    assert "plan/recipes" in cache._READERS
