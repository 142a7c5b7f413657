"""Surroundings that ended commands in a traceback: no home folder, no UTF-8, no width."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dmlbench.data.cache import cache_dir
from dmlbench.errors import UsageError
from dmlbench.files import user_path

DATA = Path(__file__).parent / "data"


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "boards" / "zsl-v1" / "glyphs"
    folder.mkdir(parents=True)
    shutil.copy(DATA / "noname.json", folder / "98d9a4423de7d20f.json")
    return tmp_path / "boards"


def dmlbench(
    *arguments: str | bytes | Path, unset=(), **environment: str
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dmlbench", *arguments]
    env = {name: value for name, value in os.environ.items() if name not in unset} | environment
    return subprocess.run(command, capture_output=True, timeout=120, env=env)


def test_row_32_without_a_home_the_message_names_what_to_set(monkeypatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    for name in ("HOME", "DMLBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="DMLBENCH_CACHE"):
        cache_dir()
    with pytest.raises(UsageError, match="set HOME"):
        user_path("~/photos")
    from dmlbench.running.doctor import examine

    (cache,) = [finding for finding in examine() if finding.subject == "cache"]
    assert cache.level == "problem" and "DMLBENCH_CACHE" in cache.message


def test_row_32_a_home_of_nobody() -> None:
    with pytest.raises(UsageError, match="~nobody-of-this-name"):
        user_path("~nobody-of-this-name/photos")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "koi8-r"])
def test_row_33_what_an_encoding_lacks_is_escaped(encoding: str, board: Path) -> None:
    done = dmlbench(
        "leaderboard", "show", "--leaderboards", board, "--markdown", PYTHONIOENCODING=encoding
    )
    assert done.returncode == 0, done.stderr
    assert b"multi-similarity" in done.stdout


@pytest.mark.parametrize("columns", ["0", "-1", "x", "1", "99999999999999999999"])
def test_row_33_a_width_that_is_none(columns: str, board: Path) -> None:
    done = dmlbench("leaderboard", "show", "--leaderboards", board, COLUMNS=columns)
    assert done.returncode == 0, done.stderr
    assert b"zsl-v1" in done.stdout and b"--explain" in done.stdout


def test_names_that_are_no_text_can_be_printed(board: Path, tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/b\xff\xfe")
    board.rename(odd)
    for command in ("show", "verify"):
        done = dmlbench("leaderboard", command, "--leaderboards", odd)
        assert done.returncode == 0 and not done.stderr, done.stderr
    done = dmlbench("leaderboard", "site", os.fsencode(tmp_path) + b"/s\xff", "--leaderboards", odd)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, board: Path, tmp_path: Path) -> None:
    text = (
        f'"{sys.executable}" -m dmlbench leaderboard add "$1"/*/*/*.json '
        f'--leaderboards "$2" {closed}; '
        f'"{sys.executable}" -m dmlbench leaderboard show --leaderboards "$2" {closed}'
    )
    command = ["sh", "-c", text, "sh", str(board), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr
    assert len(list((tmp_path / "out").glob("*/*/*.json"))) == 1
