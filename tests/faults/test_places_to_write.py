"""A folder that cannot be written, or a disk that is full, shows before work is lost on it."""

from __future__ import annotations

import errno
from pathlib import Path

import hand_made
import pytest

from dmlbench import files
from dmlbench.cli import main
from dmlbench.leaderboard.entries.store import write_entry


@pytest.fixture
def entry(tmp_path) -> Path:
    return write_entry(tmp_path / "boards", hand_made.make(dataset="x"))


def _error(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
@pytest.mark.parametrize(
    "command",
    ["run", "tune", "add", "site", "verify", "bundle", "reproduce", "scratch", "audit"],
)
def test_a_command_that_cannot_write_says_where_before_it_works(
    command, number, entry, tmp_path, capsys, monkeypatch
):
    out, boards = tmp_path / "out", tmp_path / "boards"
    place, arguments = {
        "run": (out, ["run", "--losses", "ms", "--leaderboards", out]),
        "tune": (out, ["tune", "--losses", "ms", "--leaderboards", out]),
        "add": (out, ["leaderboard", "add", entry, "--leaderboards", out]),
        "site": (out, ["leaderboard", "site", out, "--leaderboards", boards]),
        "verify": (entry.parent, ["leaderboard", "verify", entry, "--name", "me"]),
        "bundle": (out, ["leaderboard", "bundle", "--leaderboards", boards, "--to", out / "b.tar"]),
        "reproduce": (entry.parent, ["reproduce", entry, "--name", "me"]),
        "scratch": (out, ["reproduce", entry, "--name", "me", "--no-record", "--scratch", out]),
        "audit": (entry.parent, ["leaderboard", "audit", entry, "--name", "me"]),
    }[command]

    def refuse(dir):
        if Path(dir) in (place, *place.parents):
            raise OSError(number, "it is refused")
        raise AssertionError(f"looked at {dir}")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    told = _error(capsys, *arguments)
    assert f"{place}" in told and "cannot be written: it is refused." in told
    assert not out.exists()


def test_an_error_while_writing_names_the_file_and_no_temporary_one(tmp_path, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device: '.*/entry.json'$"):
        files.write_atomically(tmp_path / "entry.json", full)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"'.*/file/entry.json'$"):
        files.write_atomically(tmp_path / "file" / "entry.json", full)

    def worded(file):
        raise OSError("broken data stream")

    with pytest.raises(OSError, match="^broken data stream$"):
        files.write_atomically(tmp_path / "entry.json", worded)

    def other(file):
        open(tmp_path / "missing", "rb")

    with pytest.raises(FileNotFoundError, match="missing"):
        files.write_atomically(tmp_path / "entry.json", other)
