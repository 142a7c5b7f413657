"""Completion of values in a shell, by the protocol that click's scripts speak."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

IDS = ("0123456789abcdef", "0123ffffffffffff", "9999999999999999")

_HEAVY = """
import sys
from dmlbench.cli import main
heavy = {"torch", "timm", "pandas", "pydantic", "scipy"}
try:
    main()
finally:
    print(*sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


def complete(*words: str, shell: str = "bash", cwd=None) -> list[str]:
    """What is offered for the last of the words; "plain," is cut off."""
    environment = {
        **os.environ,
        "_DMLBENCH_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(["dmlbench", *words]),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", _HEAVY], capture_output=True, text=True, cwd=cwd, timeout=60,
        env=environment,
    )  # fmt: skip
    assert done.stderr.strip() == "", done.stderr  # neither an error nor anything heavy
    return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]


@pytest.fixture
def board(tmp_path):
    for i, entry_id in enumerate(IDS):
        file = tmp_path / "leaderboards" / "zsl-v2" / ("glyphs", "cub")[i % 2] / f"{entry_id}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    return tmp_path


def test_names_of_losses_are_completed_one_after_the_other_in_a_list():
    assert complete("run", "--losses", "multi") == ["multi-similarity"]
    assert complete("run", "--losses", "triplet,multi") == ["triplet,multi-similarity"]
    assert complete("run", "--losses", "triplet,3*multi") == ["triplet,3*multi-similarity"]
    assert "triplet,triplet" not in complete("run", "--losses", "triplet,tri")
    assert complete("plan", "--losses", "fixed(margin=0.1),multi") == [
        "fixed(margin=0.1),multi-similarity"
    ]


def test_parameters_are_left_to_the_user():
    assert complete("run", "--losses", "triplet(mar") == []


@pytest.mark.parametrize(
    "words, offered",
    [
        (("run", "--combiner", "wedl"), "wedl-c"),
        (("tune", "--dataset", "gly"), "glyphs"),
        (("plan", "--backbone", "resnet"), "resnet-mini"),
        (("run", "--recipe", "qu"), "quick"),
        (("run", "--without", "dml"), "dmlbench"),
        (("info", "gly"), "glyphs"),
        (("info", "qui"), "quick"),
        (("plugin", "check", "contr"), "contrastive"),
        (("list", "back"), "backbones"),
        (("leaderboard", "sh"), "show"),
        (("leaderboard", "show", "--mark"), "--markdown"),
        (("pl",), "plan"),
    ],
)
def test_what_is_offered(words, offered):
    assert offered in complete(*words)


def test_ids_of_entries_are_completed_from_the_names_of_files(board):
    assert complete("info", "0123", cwd=board) == [*IDS[:2]]
    assert complete("leaderboard", "compare", "9", cwd=board) == [IDS[2]]
    assert complete("leaderboard", "compare", IDS[0], "0123", cwd=board) == [IDS[1]]
    assert complete("reproduce", "--leaderboards", str(board / "leaderboards"), "9") == [IDS[2]]
    assert complete("embed", "zz", cwd=board) == ["file,zz"]


def test_summaries_are_beside_the_names_where_a_shell_shows_them():
    offered = complete("run", "--losses", "tripl", shell="zsh")
    at = offered.index("triplet")
    assert len(offered[at + 1]) > 10 and offered[at + 1] != "_"


def test_completion_is_fast():
    times = []
    for _ in range(3):
        start = time.process_time(), os.times().children_user + os.times().children_system
        complete("run", "--losses", "tri")
        times.append(os.times().children_user + os.times().children_system - start[1])
    assert min(times) < 0.6, (
        times
    )  # 0.3 s of processor time on an idle core, and room for a busy one


def test_the_script_for_the_shell_is_printed():
    done = subprocess.run(
        [sys.executable, "-c", "from dmlbench.cli import main; main()"], text=True,
        capture_output=True, env={**os.environ, "_DMLBENCH_COMPLETE": "zsh_source"}, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0 and "#compdef dmlbench" in done.stdout
