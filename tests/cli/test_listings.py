"""Listings where there is no terminal: their width, their blanks, their characters."""

from __future__ import annotations

import json
import os
import re
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


@pytest.mark.parametrize(
    "option, instead",
    [
        ("--epochs", "recipe.epochs"),
        ("--lr", "backbone_lr"),
        ("--batch_size", "recipe.batch.classes"),
        ("--resume", "the same command"),
        ("--gpus", "--device"),
    ],
)
def test_an_option_of_other_tools_is_answered_with_ours(call, option, instead):
    code, _, err = call("run", option, "3")
    assert code == 2 and option in err and instead in err


def test_every_hint_names_options_that_there_are():
    from dmlbench.cli.option_hints import HINTS
    from dmlbench.cli.run import run_command

    known = {text for param in run_command.params for text in param.opts}
    named = {word for hint in HINTS.values() for word in re.findall(r"--[a-z-]+", hint)}
    assert named and named <= known


def test_list_without_a_kind_names_everything(call):
    code, out, _ = call("list")
    assert code == 0
    for name in ("losses: ", "triplet", "wedl-c", "glyphs", "resnet-mini", "quick"):
        assert name in out
    code, out, _ = call("list", "--json")
    assert "triplet" in json.loads(out)["losses"]


def test_list_takes_the_singular(call):
    assert call("list", "loss")[1] == call("list", "losses")[1]
    assert call("list", "combiner")[1] == call("list", "combiners")[1]
    assert call("list", "lossy")[0] == 2


def test_a_class_of_pytorch_metric_learning_is_recognised(call):
    code, _, err = call("plan", "--losses", "TripletMarginLoss")
    assert code == 2 and "dmlbench-pml" in err and "pml:TripletMarginLoss" in err
