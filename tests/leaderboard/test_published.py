"""What lies in leaderboards/ is data, or made from it: entries hold, and tables are current."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from dmlbench.cli import cli

ROOT = Path(__file__).parents[2]
LEADERBOARDS = sorted(path.parent for path in ROOT.glob("leaderboards/**/leaderboard.csv"))
HOW = (
    "dmlbench leaderboard show --leaderboards FOLDER --markdown > FOLDER/README.md, --csv likewise"
)


def test_there_are_leaderboards():
    files = [path for path in ROOT.glob("leaderboards/**/*.json") if path.name[0] != "."]
    folders = {p.parent.parent if p.parent.name[0] == "_" else p.parent for p in files}
    assert folders and folders == set(LEADERBOARDS), HOW
    assert all((folder / "README.md").exists() for folder in folders), HOW


@pytest.mark.parametrize("form, name", [("--markdown", "README.md"), ("--csv", "leaderboard.csv")])
@pytest.mark.parametrize("folder", LEADERBOARDS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_tables_are_made_from_the_entries(folder, form, name, monkeypatch):
    # Relative, as the table's paths would be for whoever makes it.
    monkeypatch.chdir(ROOT)
    made = CliRunner().invoke(
        cli, ["leaderboard", "show", "--leaderboards", str(folder.relative_to(ROOT)), form]
    )
    assert made.exit_code == 0 and made.stdout == (folder / name).read_text("utf-8"), HOW


@pytest.mark.parametrize("folder", LEADERBOARDS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_every_check_holds(folder):
    from dmlbench.leaderboard.entries.store import read_entries
    from dmlbench.leaderboard.verification.checks import check_entry

    entries, problems = read_entries(folder)
    assert problems == []
    for entry in entries:
        assert check_entry(entry) == [], entry.label
