"""The image cache: whole or not there, checked when read, and in memory where it cannot be kept."""

import json
import logging
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from words import refused

from dmlbench.data import cache
from dmlbench.data.cache import CacheEntry, cache_dir, entries
from dmlbench.data.images import DatasetError

ROWS = np.arange(5 * 1 * 4 * 4, dtype=np.uint8).reshape(5, 1, 4, 4)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make(entry, rows=ROWS, **options):
    return entry.make(rows.shape, lambda: iter([rows[:2], rows[2:]]), lambda: {"n": 5}, **options)


@pytest.mark.parametrize("in_memory", [True, False])
def test_what_was_made_is_read_back(in_memory):
    entry = CacheEntry.of("toy", {"a": [1, 2]})
    assert entry.read() is None
    for array, notes in (make(entry, in_memory=in_memory), entry.read(in_memory=in_memory)):
        assert isinstance(array, np.memmap) is not in_memory
        assert array.dtype == np.uint8 and np.array_equal(array, ROWS) and notes == {"n": 5}
    assert sorted(p.name for p in entry.folder.iterdir()) == ["entry.json", "images.npy"]
    assert [e.folder for e in entries()] == [entry.folder] and entries()[0].problem() == ""


def test_the_key_is_what_it_was_made_from():
    places = {CacheEntry.of("toy", {"a": a, "b": 0}).folder for a in (1, 2, "1")}
    assert len(places) == 3
    assert CacheEntry.of("toy", {"b": 0, "a": 1}).folder in places


def cut(entry):
    path = entry.folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-7])


def alter(entry):
    path = entry.folder / "images.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def spoil_notes(entry):
    (entry.folder / "entry.json").write_text("{half")


def list_notes(entry):
    (entry.folder / "entry.json").write_text("[]")


def other_source(entry):
    metadata = json.loads((entry.folder / "entry.json").read_text())
    (entry.folder / "entry.json").write_text(json.dumps({**metadata, "made_from": {"a": 2}}))


@pytest.mark.parametrize("damage", [cut, alter, spoil_notes, list_notes, other_source])
def test_a_damaged_entry_is_noticed_and_made_anew(damage, caplog):
    entry = CacheEntry.of("toy", {"a": 1})
    make(entry)
    damage(entry)
    assert entry.read() is None and "made again" in caplog.text
    make(entry)
    assert np.array_equal(entry.read()[0], ROWS)
    assert len(list(entry.folder.parent.iterdir())) == 1


@pytest.mark.parametrize("missing", ["images.npy", "entry.json"])
def test_half_an_entry_is_none(missing):
    entry = CacheEntry.of("toy", {"a": 1})
    make(entry)
    (entry.folder / missing).unlink()
    assert entry.read() is None
    make(entry)
    assert np.array_equal(entry.read()[0], ROWS)


def test_a_large_array_is_compared_by_size_alone(monkeypatch):
    entry = CacheEntry.of("toy", {"a": 1})
    make(entry)
    alter(entry)
    monkeypatch.setattr(cache, "HASH_LIMIT_BYTES", 10)
    assert entry.read() is not None
    assert "has changed" in entry.problem()  # what `data verify` asks
    cut(entry)
    assert entry.read() is None


def test_an_error_of_the_maker_leaves_nothing():
    entry = CacheEntry.of("toy", {"a": 1})

    def chunks():
        yield ROWS[:2]
        raise OSError("an image, not the disk of the cache")

    with pytest.raises(OSError, match="an image"):
        entry.make(ROWS.shape, chunks)
    assert entry.read() is None and not list(entry.folder.parent.iterdir())


def test_another_process_was_faster():
    entry = CacheEntry.of("toy", {"a": 1})

    theirs = []

    def chunks():
        make(entry)
        theirs.append((entry.folder / "images.npy").stat().st_ino)
        yield ROWS

    array, _ = entry.make(ROWS.shape, chunks)
    assert theirs == [(entry.folder / "images.npy").stat().st_ino]
    assert np.array_equal(array, ROWS) and len(list(entry.folder.parent.iterdir())) == 1


def test_a_cache_that_cannot_be_written_leaves_images_in_memory(folder, caplog):
    folder.write_text("a file where the folder should be")
    with caplog.at_level(logging.WARNING):
        array, notes = make(CacheEntry.of("toy", {"a": 1}))
    assert np.array_equal(array, ROWS) and notes == {"n": 5}
    assert "cannot be written" in caplog.text and "DMLBENCH_CACHE" in caplog.text


def test_a_full_disk_halfway(monkeypatch, caplog):
    class Full:
        def __init__(self, file):
            self.file, self.writes = file, 0

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, data):
            self.writes += 1
            if self.writes > 2:
                raise OSError(28, "No space left on device")
            return self.file.write(data)

    monkeypatch.setattr(cache, "open", lambda path, mode: Full(open(path, mode)), raising=False)
    entry = CacheEntry.of("toy", {"a": 1})
    array, _ = make(entry)
    assert np.array_equal(array, ROWS) and "No space left" in caplog.text
    assert not list(entry.folder.parent.iterdir())


def test_a_full_disk_shows_before_the_work(monkeypatch, caplog):
    calls = []

    def refuse(descriptor, start, size):
        raise OSError(28, "No space left on device")

    def chunks():
        calls.append(1)
        return iter([ROWS])

    monkeypatch.setattr(cache.os, "posix_fallocate", refuse)
    array, _ = CacheEntry.of("toy", {"a": 1}).make(ROWS.shape, chunks)
    assert np.array_equal(array, ROWS) and "No space left" in caplog.text
    assert calls == [1]  # once, for the copy in memory


def test_a_file_system_that_cannot_reserve_is_written_to(monkeypatch):
    def refuse(descriptor, start, size):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(cache.os, "posix_fallocate", refuse)
    entry = CacheEntry.of("toy", {"a": 1})
    make(entry)
    assert np.array_equal(entry.read()[0], ROWS)


@pytest.mark.parametrize("rows", [4, 6])
def test_chunks_of_another_number_of_rows_are_an_error(rows):
    entry = CacheEntry.of("toy", {"a": 1})
    with pytest.raises(ValueError, match="fill .* bytes, not"):
        entry.make(ROWS.shape, lambda: iter([np.zeros((rows, 1, 4, 4), np.uint8)]))
    assert entry.read() is None and not list(entry.folder.parent.iterdir())


def test_floats_are_kept_as_they_are():
    values = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    entry = CacheEntry.of("toy", {"a": 1})
    entry.make(values.shape, lambda: iter([values[:1], values[1:]]), dtype="<f4")
    array, _ = entry.read()
    assert array.dtype == np.float32 and np.array_equal(array, values)


def test_one_holder_of_a_lock_at_a_time(folder):
    entry, waited = CacheEntry.of("toy", {"a": 1}), []
    with entry.locked(waiting=lambda: waited.append("first")):
        thread = threading.Thread(target=lambda: _hold(entry, waited))
        thread.start()
        while not waited:
            time.sleep(0.001)
        assert waited == ["second"]
    thread.join(10)
    assert waited == ["second", "has it"]


def _hold(entry, waited):
    with entry.locked(waiting=lambda: waited.append("second")):
        waited.append("has it")


def test_without_a_cache_there_is_nothing_to_lock(folder):
    folder.write_text("a file where the folder should be")
    with CacheEntry.of("toy", {"a": 1}).locked(waiting=lambda: pytest.fail("nobody has it")):
        pass


def test_too_large_for_memory(folder, monkeypatch):
    folder.write_text("a file")
    monkeypatch.setattr(cache, "MEMORY_LIMIT_BYTES", 10)
    with refused(DatasetError, "DMLBENCH_CACHE"):
        make(CacheEntry.of("toy", {"a": 1}))


def test_what_a_killed_process_left_is_cleared_after_a_day():
    entry = CacheEntry.of("toy", {"a": 1})
    old, young = (entry.folder.with_name(f"unfinished-{name}") for name in ("old", "young"))
    for path, age in ((old, 100_000), (young, 10)):
        path.mkdir(parents=True)
        (path / "images.npy").write_bytes(b"half")
        for place in (path / "images.npy", path):
            os.utime(place, (time.time() - age,) * 2)
    # Begun long ago, and still written to.
    long = entry.folder.with_name("unfinished-long")
    long.mkdir()
    (long / "images.npy").write_bytes(b"half")
    os.utime(long, (time.time() - 100_000,) * 2)
    make(entry)
    assert not old.exists() and young.exists() and long.exists()
    assert len(entries()) == 1


def test_what_another_process_clears_meanwhile_is_no_error_of_the_disk(monkeypatch, caplog):
    entry = CacheEntry.of("toy", {"a": 1})
    gone = entry.folder.with_name("unfinished-gone")
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([gone]))
    array, _ = make(entry)
    assert isinstance(array, np.memmap) and not caplog.text


def test_a_damaged_entry_that_another_process_replaces_meanwhile_is_no_error_of_the_disk(
    monkeypatch, caplog
):
    entry = CacheEntry.of("toy", {"a": 1})
    make(entry)
    (entry.folder / "images.npy").write_bytes(b"damaged")
    rename, moved = os.rename, []

    def racing(source, target):
        if source == entry.folder and not moved:
            moved.append(target)
            rename(source, entry.folder.with_name("theirs"))
        rename(source, target)

    monkeypatch.setattr(os, "rename", racing)
    array, _ = make(entry)
    assert moved and isinstance(array, np.memmap) and np.array_equal(array, ROWS)


def test_where_the_cache_is(monkeypatch, folder):
    assert cache_dir() == folder
    monkeypatch.delenv("DMLBENCH_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert cache_dir() == Path("/x/dmlbench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "dmlbench"
    monkeypatch.setattr("sys.platform", "darwin")
    assert cache_dir() == Path.home() / "Library" / "Caches" / "dmlbench"
