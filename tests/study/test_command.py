"""What `dmlbench study plan` says of a design, by itself and with a pilot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmlbench.cli import cli

STUDIES = Path(__file__).parents[2] / "docs" / "studies"


def plan(design, *options):
    run = CliRunner().invoke(cli, ["study", "plan", str(STUDIES / design), *options])
    assert run.exit_code == 0, run.output
    return " ".join(run.stdout.split())


def test_a_plan_without_trials_says_only_what_is_left(tmp_path):
    text = plan("headline.toml", "--leaderboards", str(tmp_path))
    assert "80 trials and 0 tuning trials." in text and "power" not in text


@pytest.mark.parametrize("design", ["combining.toml", "headline.toml"])
def test_the_published_pilot_gives_variances_and_costs(design):
    with_pilot = ("--pilot", str(STUDIES / "pilot.toml"), "--leaderboards", str(STUDIES / "pilot"))
    text = plan(design, *with_pilot)
    for contrast in ("lead", "combination", "weights", "any two rows"):
        assert f"{contrast} on glyphs: a unit's difference has a standard deviation of" in text
    assert "processor hours" in text and "--part 1/" in text
    data = json.loads(
        CliRunner()
        .invoke(cli, ["study", "plan", str(STUDIES / design), *with_pilot, "--json"])
        .stdout
    )
    assert {one["name"] for one in data["precision"]} >= {"lead", "any two rows"}
