"""Entries from elsewhere that stopped a command, leaked text, or passed with numbers of nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
NEVER_TRAINED = ("escape", "hugelr", "noname", "zeroqueries")
HIDDEN = "\x1b\x00\u202e"


def _dmlbench(*arguments: str | Path, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dmlbench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def _board(out: Path, name: str) -> Path:
    """A board of one entry, put there by hand, as a checkout of somebody's repository has it."""
    folder = out / "zsl-v1" / "glyphs"
    folder.mkdir(parents=True)
    entry_id = json.loads((DATA / f"{name}.json").read_text())["entry_id"]
    return Path(shutil.copy(DATA / f"{name}.json", folder / f"{entry_id}.json"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in DATA.glob("*.json")))
def test_rows_10_13_14_15_17_no_command_ends_in_a_traceback_or_leaks(
    name: str, tmp_path: Path
) -> None:
    file = _board(tmp_path / "boards", name)
    began = time.monotonic()
    for arguments in (
        ["leaderboard", "verify", "--leaderboards", tmp_path / "boards"],
        ["leaderboard", "show", "--leaderboards", tmp_path / "boards"],
        ["leaderboard", "site", tmp_path / "site", "--leaderboards", tmp_path / "boards"],
        ["leaderboard", "add", file, "--leaderboards", tmp_path / "copy"],
        *([["reproduce", file, "--no-record"]] if name in NEVER_TRAINED else []),
    ):
        done = _dmlbench(*arguments)
        assert "Traceback" not in done.stderr, (arguments, done.stderr[-1500:])
        assert not set(HIDDEN) & set(done.stdout + done.stderr), arguments
    assert time.monotonic() - began < 120
    for page in (tmp_path / "site").rglob("*.html"):
        assert not set(HIDDEN) & set(page.read_text()), page


def test_row_10_metrics_of_no_query_are_refused(tmp_path: Path) -> None:
    done = _dmlbench("leaderboard", "add", DATA / "zeroqueries.json", "--leaderboards", tmp_path)
    assert done.returncode == 4
    assert "num_queries is 0" in done.stdout


@pytest.mark.parametrize("version", [True, 1.0, "1"])
def test_row_42_a_schema_version_is_a_whole_number(version, tmp_path: Path) -> None:
    entry = json.loads((DATA / "noname.json").read_text()) | {"schema_version": version}
    (tmp_path / "entry.json").write_text(json.dumps(entry))
    done = _dmlbench(
        "leaderboard", "add", tmp_path / "entry.json", "--leaderboards", tmp_path / "out"
    )
    assert done.returncode == 4
    assert "schema_version" in done.stdout


def test_row_12_a_link_is_not_shown_as_what_a_board_says_of_itself(tmp_path: Path) -> None:
    folder = _board(tmp_path, "noname").parent
    (tmp_path / "secret").write_text("token")
    (folder / "_about.md").symlink_to(tmp_path / "secret")
    done = _dmlbench("leaderboard", "show", "--leaderboards", folder, "--markdown")
    assert "token" not in done.stdout
    assert done.returncode == 4 and "_about.md is a link" in done.stderr
    for place in (folder, tmp_path):
        done = _dmlbench("leaderboard", "verify", "--leaderboards", place)
        assert done.returncode == 4 and "token" not in done.stdout
        assert "_about.md" in done.stdout and "is a link" in done.stdout


def test_row_18_trials_may_be_a_link_to_a_scratch_disk(tmp_path: Path) -> None:
    from dmlbench.leaderboard.entries.trial import Artefact
    from dmlbench.leaderboard.verification.tiers import embeddings_path

    board = tmp_path / "boards" / "zsl-v1" / "glyphs"
    board.mkdir(parents=True)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "boards" / ".trials").symlink_to(tmp_path / "scratch")

    def found(path: str) -> Path | None:
        return embeddings_path(board, Artefact(path=path, sha256="0" * 64, num_bytes=0))

    assert found(".trials/a/x") == tmp_path / "scratch" / "a" / "x"
    assert found(".trials/../../elsewhere") is None
    assert found("../elsewhere") is None
    assert found("a\0b") is None


def test_row_16_a_loop_of_links_holds_no_embeddings(tmp_path: Path) -> None:
    file = _board(tmp_path, "noname")
    (tmp_path / ".trials").symlink_to(".trials")
    for command in ("verify", "show"):
        assert (
            "Traceback" not in _dmlbench("leaderboard", command, "--leaderboards", tmp_path).stderr
        )
    assert "Traceback" not in _dmlbench("reproduce", file, "--no-record").stderr


def test_row_38_one_source_that_is_not_there_does_not_stop_the_others(tmp_path: Path) -> None:
    good, bad = DATA / "noname.json", tmp_path / "nowhere.json"
    done = _dmlbench("leaderboard", "add", good, bad, good, "--leaderboards", tmp_path / "out")
    lines = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert [line.partition(":")[0] for line in lines] == ["added", "refused", "there already"]
    assert done.returncode == 2


def test_row_39_an_empty_source_is_refused(tmp_path: Path) -> None:
    shutil.copy(DATA / "noname.json", tmp_path)
    done = _dmlbench("leaderboard", "add", "", "--leaderboards", tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 2 and "empty" in done.stderr
    assert not (tmp_path / "out").exists()


def test_row_24_a_full_disk_is_told_in_a_sentence(tmp_path: Path) -> None:
    _board(tmp_path, "noname")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "dmlbench",
                "leaderboard",
                "show",
                "--leaderboards",
                str(tmp_path),
            ],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc").is_dir(), reason="no /proc to refuse")
def test_row_24_a_folder_that_cannot_be_written_is_told_in_a_sentence() -> None:
    done = _dmlbench("leaderboard", "add", DATA / "noname.json", "--leaderboards", "/proc/nowhere")
    assert done.returncode == 2
    assert "/proc/nowhere" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", ["leaderboard show", "leaderboard show --json", "leaderboard verify", "--help"]
)
def test_row_40_a_reader_that_leaves_is_no_error(tmp_path: Path, words: str) -> None:
    _board(tmp_path, "noname")
    reading, writing = os.pipe()
    os.close(reading)
    where = [] if words == "--help" else ["--leaderboards", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "dmlbench", *words.split(), *where],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writing)
    assert done.returncode == 0 and not done.stderr


def test_row_45_a_fullwidth_sign_begins_no_formula() -> None:
    from dmlbench.leaderboard.views.export import csv_cell

    assert [csv_cell(text) for text in ("=1", "＝1", "＋1", "－1", "＠a", "a＝")] == [
        "'=1",
        "'＝1",
        "'＋1",
        "'－1",
        "'＠a",
        "a＝",
    ]


def test_row_41_a_board_with_an_introduction_alone_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "zsl-v1" / "glyphs"
    folder.mkdir(parents=True)
    assert _dmlbench("leaderboard", "show", "--leaderboards", folder).returncode == 2
    (folder / "_about.md").write_text("To be filled.")
    assert _dmlbench("leaderboard", "verify", "--leaderboards", folder).returncode == 0
    for form in ("--markdown", "--csv", "--json", "--latex"):
        done = _dmlbench("leaderboard", "show", "--leaderboards", folder, form)
        assert done.returncode == 0 and "no entry yet" in done.stderr
        assert ("To be filled." in done.stdout) is (form == "--markdown")


def test_row_13_no_view_lets_what_steers_a_terminal_through() -> None:
    import io

    from rich.console import Console

    from dmlbench.leaderboard.views.export import csv_cell, markdown
    from dmlbench.leaderboard.views.latex import latex
    from dmlbench.leaderboard.views.terminal import writable

    hostile = f"a{HIDDEN}\u2066\x9b\ud800b\nc"
    console = Console(file=io.TextIOWrapper(io.BytesIO(), "utf-8"))
    assert writable(hostile, console) == csv_cell(hostile) == "ab\nc"
    assert markdown(hostile) == "ab\nc" and not set(HIDDEN) & set(latex(hostile))
