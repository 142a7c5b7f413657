"""Files that killed processes left where nothing removed them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from dmlbench.files import write_atomically

CONTEXT = multiprocessing.get_context("fork")


def _write_and_be_killed(path: Path) -> None:
    def write(file) -> None:
        file.write(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    write_atomically(path, write)


def test_row_43_what_a_killed_writer_left_goes_with_the_next_write(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        process = CONTEXT.Process(target=_write_and_be_killed, args=(tmp_path / name,))
        process.start()
        process.join()
    (left,) = os.listdir(tmp_path)  # the second writer has removed what the first one left
    assert left.startswith(".b.json.")
    write_atomically(tmp_path / "c.json", lambda file: file.write(b"whole"))
    assert os.listdir(tmp_path) == ["c.json"]


def test_row_43_a_file_that_is_being_written_stays(tmp_path: Path) -> None:
    def write(file) -> None:
        (name,) = os.listdir(tmp_path)
        write_atomically(tmp_path / "b.json", lambda file: file.write(b"b"))
        assert set(os.listdir(tmp_path)) == {name, "b.json"}
        file.write(b"a")

    write_atomically(tmp_path / "a.json", write)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.json": b"a",
        "b.json": b"b",
    }


def test_row_43_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / ".something.tmp").touch()
    write_atomically(tmp_path / "a", lambda file: file.write(b"a"))
    assert set(os.listdir(tmp_path)) == {".something.tmp", "a"}


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_atomically(tmp_path / "a", lambda file: 1 / 0)
    assert not list(tmp_path.iterdir())
