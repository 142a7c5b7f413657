"""What `plan` refuses and says before anything is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmlbench.leaderboard.entries.store import read_entry
from dmlbench.leaderboard.entries.trial_result import TrialResult


@pytest.fixture
def plan(call):
    """Call `plan` with arguments; its stderr comes on one line."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code, out, err = call("plan", *arguments)
        return code, out, " ".join(err.split())

    return run


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--losses", "triplet(margin=abc)"], "margin must be a number, not 'abc'"),
        (["--losses", 'triplet(margin="0.1")'], "margin must be a number, not '0.1'"),
        (["--losses", "triplet(squared=1)"], "squared must be true or false, not 1"),
        (["--losses", "ms(alpha=true)"], "alpha must be a number, not True"),
        (["--dataset", "glyphs(classes=many)"], "dataset dmlbench:glyphs: classes must be"),
        (["--dataset", "folder"], "Name it: --dataset 'folder(root=PATH)'"),
        (["--dataset", "folder(root=nope)"], "root='nope' is not a directory (looked at /"),
        (["--dataset", "cub(root=nope)"], "cub: root='nope' is not a directory"),
        (["--backbone", "resnet5"], "no backbone named 'resnet5', neither among the plugins"),
        (["--backbone", "timm(model=resnet5)"], "Did you mean resnet50"),
        (["--backbone", "timm"], "needs a model"),
        (["--combiner", "none,sum"], "none must be the only one"),
        (["--recipe", "."], "The recipe . is a directory"),
        (["--recipe", "misspelt.toml"], "no augmentation 'shfit'. Did you mean shift?"),
        (
            ["--dim-budget", "total", "--set", "protocol.dim_budget=per-loss"],
            "budget=per-loss differ",
        ),
    ],
)
def test_what_can_be_seen_without_building_is_refused(
    plan, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "misspelt.toml").write_text('[[augment]]\nname = "shfit"\n')
    code, out, err = plan(*arguments)
    assert (code, out) == (2, "") and message in err


def test_what_may_be_meant_is_planned(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    (tmp_path / "quick").mkdir()  # beside the recipe of that name
    arguments = [
        "--losses",
        "triplet(margin=none),ms(alpha=3)",
        "--no-pretrained",
        "--recipe",
        "quick",
        "--backbone",
        "resnet50.a1_in1k",
        "--dataset",
        "folder(root=images)",
    ]
    assert plan(*arguments)[::2] == (0, "")


@pytest.mark.parametrize(
    "name, content, refused",
    [
        ("w.pth", b"just text, and more of it", True),
        ("w.pth", b"", True),
        ("w.pth", b"PK\x03\x04rest of a zip file", False),
        ("w.pth", b"\x80\x02\x8a\nl\xfc\x9cF\xf9", False),
        ("w.safetensors", b"\x08\0\0\0\0\0\0\0{}      ", False),
        ("w.safetensors", b"just text, and more of it", True),
        ("w.safetensors", b"PK\x03\x04rest of a zip file", True),
    ],
)
def test_a_file_that_can_be_no_weights(plan, tmp_path, monkeypatch, name, content, refused):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))
    file = tmp_path / name
    file.write_bytes(content)
    code, _, err = plan("--backbone", "resnet18", "--weights", str(file))
    assert code == (2 if refused else 0) and (f"The weights {file} are neither" in err) == refused


def test_a_recipe_that_is_no_text_is_named(plan, tmp_path):
    file = tmp_path / "r.toml"
    file.write_bytes(b"\xff\xfe")
    code, _, err = plan("--recipe", str(file))
    assert code == 2 and f"The recipe {file} is not text in UTF-8" in err


def test_a_recipe_that_cannot_be_read_is_named(plan, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("dmlbench.plan.request.load_recipe", denied)
    code, _, err = plan("--recipe", "r.toml")
    assert code == 2 and "The recipe r.toml cannot be read: Permission denied." in err


def test_seeds_are_told_as_ranges_and_a_gap_on_stderr(plan, tmp_path):
    at = ["--losses", "ms", "--leaderboards", str(tmp_path), "--seeds"]
    code, out, err = plan(*at, "5")
    assert code == 0 and "  0-4 to do" in out and err == ""
    code, out, err = plan(*at, "0,1,4")
    assert code == 0 and "  0-1, 4 to do" in out
    assert "not be ranked: seeds 2-3 are missing" in err and err.endswith(
        "--seeds 5 to run them all."
    )
    assert "seed 0 is missing" in plan(*at, "1,", "--json")[2]


def made_before() -> TrialResult:
    """What a trial with seed 0 left."""
    leaderboards = Path(__file__).parents[2] / "leaderboards"
    entry = read_entry(next(leaderboards.glob("zsl-v1/glyphs/[0-9a-f]*.json")))
    return TrialResult(
        metadata=entry.metadata, trial=entry.trials[0].model_copy(update={"seed": 0})
    )


def test_seeds_on_file_fill_the_gap(plan, tmp_path):
    at = ["--losses", "ms", "--leaderboards", str(tmp_path)]
    (row,) = json.loads(plan(*at, "--json")[1])["configurations"]
    from dmlbench.plan.request import Request
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.planning import make_plan

    (trial,) = make_plan(Request(losses=["ms"], out=tmp_path, seeds=1), load_plugins()).trials
    trial.folder.create()
    trial.folder.write_result(made_before())
    assert row["entry_id"] in str(trial.folder.path)
    _, out, err = plan(*at, "--seeds", "1,2")
    assert err == "" and "1-2 to do" in out
    assert "0 completed; 1-4 to do" in plan(*at)[1]


def test_weights_files_and_timm_models_are_looked_at_without_torch(tmp_path):
    code = (
        "import sys, atexit\n"
        "atexit.register(lambda: print([m for m in ('torch', 'timm') if m in sys.modules]))\n"
        "from dmlbench.cli import main\n"
        "main(sys.argv[1:])"
    )
    for arguments in (["plan", "--backbone", "resnet50"], ["plan", "--backbone", "resnet5"],
                      ["info", "resnet50"], ["info", "resnet5"]):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "DMLBENCH_CACHE": str(tmp_path)}, timeout=60,
        )  # fmt: skip
        assert done.stdout.endswith("[]\n"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("splits", "seeds", "use"),
    [("2", "5", "--splits 3 --seeds 5"), ("1,2", "9", "--splits 3 --seeds 9"),
     ("4", "1", "--splits 4 --seeds 2"), ("3", "2", None), ("1", "5", None), ("1", "3", None)],
)  # fmt: skip
def test_class_splits_that_can_give_no_rank_are_named_before_they_are_trained(
    plan, tmp_path, splits, seeds, use
):
    options = ["--losses", "ms", "--splits", splits, "--seeds", seeds]
    code, _, err = plan(*options, "--leaderboards", str(tmp_path))
    assert code == 0
    if use is None:
        assert err == ""
    else:
        assert err.startswith("These rows will not be ranked") and err.endswith(f"Use {use}.")


@pytest.mark.parametrize("combiner, hinted", [("learned", True), ("sum", False), ("none", False)])
def test_single_losses_of_another_dimension_than_the_ensemble_are_pointed_out(
    plan, tmp_path, combiner, hinted
):
    options = ["--dim-budget", "per-loss", "--leaderboards", str(tmp_path)]
    code, _, err = plan("--losses", "ms,triplet", "--combiner", combiner, *options)
    assert code == 0 and ("--set recipe.embedding_dim=128" in err) == hinted
    alone = ["--losses", "ms,triplet", "--combiner", combiner, "--no-singles"]
    if combiner != "none":
        assert "recipe.embedding_dim" not in plan(*alone, *options)[2]
