"""``leaderboard show``: results on stdout, refusals on stderr, errors that say what to do."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.store import write_entry


def show(folder, *arguments):
    arguments = ["leaderboard", "show", "--leaderboards", *map(str, (folder, *arguments))]
    return CliRunner(env={"COLUMNS": "100"}).invoke(cli, arguments)


@pytest.fixture
def out(make_entry, tmp_path):
    for losses, values, combiner in (
        ("triplet", [0.50, 0.52, 0.51], None),
        ("ms", [0.55, 0.56, 0.57], None),
        ("triplet+ms", [0.58, 0.59, 0.601], "wedl"),
    ):
        write_entry(tmp_path / "lb", make_entry(losses, values, combiner=combiner))
    write_entry(tmp_path / "lb", make_entry(dataset="other"))
    return tmp_path / "lb"


@pytest.mark.parametrize("level", ["", "zsl-v1", "zsl-v1/glyphs"])
def test_every_level_shows_its_leaderboards(out, level):
    result = show(out / level)
    assert result.exit_code == 0 and result.stderr == ""
    assert "wedl(triplet + ms) beats its best single loss, ms" in result.stdout
    assert ("other · zsl-v1" in result.stdout) == (level != "zsl-v1/glyphs")


def test_a_row_that_fails_its_checks_is_in_the_table_and_in_no_claim(out, make_entry):
    picked = make_entry("triplet+ms", [0.8, 0.81, 0.82], seeds=[0, 3, 7], combiner="equal")
    write_entry(out, picked)
    text = " ".join(show(out).stdout.split())
    assert "equal(triplet + ms): no verdict: this row fails verification." in text
    assert "equal(triplet + ms) beats" not in text and "wedl(triplet + ms) beats" in text


def test_one_dataset(out):
    result = show(out, "--dataset", "other")
    assert "other · zsl-v1" in result.stdout and "glyphs" not in result.stdout


def test_json_is_all_that_is_on_stdout_and_refusals_are_on_stderr(out):
    (out / "zsl-v1" / "glyphs" / "bad.json").write_text("{")
    result = show(out, "--json", "--by", "R@1")
    document = json.loads(result.stdout)
    assert document["by"] == "recall_at_1" and len(document["rows"]) == 4
    assert result.stderr.startswith("Refused: ") and "bad.json" in result.stderr


def test_csv_and_markdown(out):
    assert show(out, "--csv").stdout.startswith("entry_id,rank_low,rank_high,tier,losses,combiner,")
    assert show(out, "--markdown").stdout.startswith("### glyphs")
    assert "| AMI |" in show(out, "--markdown", "--metrics", "ami").stdout


def test_markdown_begins_with_what_the_keeper_says(out):
    (out / "_about.md").write_text("# Mine\n\nTrained at home.\n")
    text = show(out, "--markdown").stdout
    assert text.startswith("# Mine\n\nTrained at home.\n\n### glyphs")
    assert "Trained" not in show(out).stdout


def test_plot(out, tmp_path):
    result = show(out, "--plot", tmp_path / "figure.png", "--json")
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert json.loads(result.stdout) and "figure.png" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["{out}", "--by", "loss"], "no metric 'loss'"),
        (["{out}", "--dataset", "cub"], "It has: glyphs, other"),
        (["{out}", "--plot", "x.gif"], "must end in"),
    ],
)
def test_errors_are_usage_errors(out, arguments, message):
    result = show(*(argument.format(out=out) for argument in arguments))
    assert isinstance(result.exception, UsageError) and result.exception.exit_code == 2
    assert message in str(result.exception)


def test_an_empty_folder_says_what_to_run(tmp_path):
    result = show(tmp_path)
    assert isinstance(result.exception, UsageError)
    assert "dmlbench run" in str(result.exception)


def test_importing_the_command_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys, dmlbench.cli.leaderboard.show, dmlbench.leaderboard.views.render, "
        "dmlbench.leaderboard.views.export, dmlbench.leaderboard.views.describe, "
        "dmlbench.leaderboard.views.plot, "
        "dmlbench.cli.reproduce, dmlbench.cli.leaderboard.verify, dmlbench.cli.leaderboard.add, "
        "dmlbench.cli.leaderboard.compare, dmlbench.leaderboard.verification.verify, "
        "dmlbench.running.reproduce, "
        "dmlbench.leaderboard.verification.submit, dmlbench.leaderboard.comparison.compare; "
        "print([m for m in ('torch', 'pandas', 'matplotlib', 'scipy', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
