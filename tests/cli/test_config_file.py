"""A run written down and read back is the same run."""

from __future__ import annotations

import json

import pytest


def planned(call, *arguments):
    code, out, err = call("plan", "--json", *arguments)
    assert code == 0, err
    return json.loads(out)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--losses", "triplet(margin=0.1),3*ms", "--combiner", "wedl", "--no-singles"),
        ("--seeds", "7,", "--splits", "3", "--combiner", "none"),
        (
            "--set",
            "recipe.epochs=4",
            "--set",
            "recipe.input.keep=whole",
            "--dim-budget",
            "per-loss",
        ),
        ("--set", 'recipe.augment=[{name="shift", pixels=1}]', "--no-pretrained"),
        ("--dataset", "glyphs(classes=50)", "--losses", "proxy-anchor", "--combiner", "sum,wel"),
    ],
    ids=lambda arguments: " ".join(arguments) or "defaults",
)
def test_what_plan_writes_is_the_same_plan(call, tmp_path, arguments):
    if "sum,wel" in arguments:
        arguments = (*arguments[:2], "--losses", "proxy-anchor,ms", *arguments[4:])
    file = tmp_path / "run.toml"
    where = ("--leaderboards", str(tmp_path / "boards"))
    first = planned(call, *arguments, *where, "--write", str(file))
    assert planned(call, "--config", str(file)) == first


def test_the_command_line_overrides_the_file(call, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text('losses = ["triplet", "ms"]\ncombiner = "none"\nseeds = 2\njobs = 1\n')
    found = planned(call, "--config", str(file), "--seeds", "3")
    assert len(found["configurations"]) == 2
    assert all(len(one["seeds"]) == 3 for one in found["configurations"])


def test_lists_and_tables_are_read_as_their_options(call, tmp_path):
    file = tmp_path / "run.toml"
    text = 'losses = "triplet"\nseeds = [5]\nsplits = [1, 2]\n[set.recipe]\nepochs = 4\n'
    file.write_text(text + 'schedule = {name = "cosine"}\n')
    found = planned(call, "--config", str(file))
    assert found["recipe"]["epochs"] == 4 and found["recipe"]["schedule"]["name"] == "cosine"
    (one,) = found["configurations"]
    assert set(one["random_splits"]) == {"1", "2"} and set(one["random_splits"]["1"]) == {"5"}


@pytest.mark.parametrize(
    "text, named",
    [
        ("losse = 1", "losses"),
        ("singles = 3", "singles"),
        ("seeds = true", "seeds"),
        ("seeds = {a = 1}", "seeds"),
        ("= 1", "TOML"),
        ('dataset = "nowhere"', "nowhere"),
        ("verbose = true", "verbose"),
    ],
)
def test_a_wrong_file_is_refused_by_name(call, tmp_path, text, named):
    file = tmp_path / "run.toml"
    file.write_text(text)
    code, _, err = call("plan", "--config", str(file))
    assert code == 2 and named in err


def test_a_file_that_is_not_there(call, tmp_path):
    code, _, err = call("run", "--config", str(tmp_path / "none.toml"))
    assert code == 2 and "none.toml" in err
