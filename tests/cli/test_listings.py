"""Listings where there is no terminal: their width, their blanks, their characters."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def piped(tmp_path, *arguments: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run(
        [sys.executable, "-m", "dmlbench", *arguments], capture_output=True, timeout=60,
        env={**kept, "PYTHONIOENCODING": "utf-8", **environment}, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(environment.get("PYTHONIOENCODING", "utf-8"))


def test_a_pipe_gets_no_trailing_blanks_and_the_columns_that_it_asks_for(tmp_path):
    wide = piped(tmp_path, "list", "losses").splitlines()
    narrow = piped(tmp_path, "list", "losses", COLUMNS="72").splitlines()
    for lines, width in ((wide, 120), (narrow, 72)):
        assert all(line == line.rstrip() and len(line) <= width for line in lines)
    assert max(map(len, wide)) > 72


@pytest.mark.parametrize(
    "arguments", [["list", "datasets"], ["plan"], ["info", "glyphs"], ["info", "quick"]]
)
def test_what_ascii_cannot_show_is_written_otherwise(tmp_path, arguments):
    out = piped(tmp_path, *arguments, PYTHONIOENCODING="ascii")
    assert out.isascii() and "\\x" not in out
