"""Moved modules, reworded texts and new fields repeat no stored trial; changed code does."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

import dmlbench

RUN = """
import json
from pathlib import Path
import dmlbench
from dmlbench.plan.recipe import Recipe

kinds = []
(entry,) = dmlbench.run(**{request!r}, watch=lambda event: kinds.append(event.kind))
Path({found!r}).write_text(json.dumps({{
    "from": dmlbench.__file__,
    "fields": Recipe(name="any").to_json(),
    "started": kinds.count("trial_started"),
    "seeds": [trial.seed for trial in entry.trials],
}}))
"""


@pytest.fixture
def run_in_copies(tiny, tmp_path, monkeypatch, fork_program):
    """Run with copies of dmlbench and the plugin `tiny` that may be edited."""
    copies = tmp_path / "copies"
    packages = {
        "dmlbench": Path(dmlbench.__file__).parent,
        "dmlbench_tiny": Path(__file__).parents[1] / "packages" / "tiny" / "dmlbench_tiny",
    }
    for name, source in packages.items():
        shutil.copytree(source, copies / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(copies), os.environ["PYTHONPATH"]]))
    # Compiled files go by seconds, in which one may be edited twice here.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    tiny["overrides"]["recipe.epochs"] = 1
    request = {"losses": ["contrastive"], "out": str(tmp_path / "out"), **tiny, "seeds": 1}

    def run():
        file = tmp_path / "found.json"
        program = fork_program(RUN.format(request=request, found=str(file)))
        program.join()
        assert program.exitcode == 0, (tmp_path / "program.log").read_text()
        found = json.loads(file.read_text())
        assert Path(found["from"]).is_relative_to(copies)
        return found

    return copies, run


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text("utf-8")
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new), "utf-8")


def test_only_what_may_change_a_number_repeats_a_trial(run_in_copies):
    copies, run = run_in_copies
    assert run()["started"] == 1
    losses = copies / "dmlbench" / "losses"
    (losses / "contrastive.py").rename(losses / "closer.py")
    for file in (copies / "dmlbench").rglob("*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace("losses.contrastive", "losses.closer"), "utf-8")
    edit(losses / "parameters.py", "def invalid(", "# A comment.\ndef invalid(")
    edit(losses / "parameters.py", "but it must be", "and should be")
    recipe = copies / "dmlbench" / "plan" / "recipe.py"
    edit(recipe, "    epochs: int = 20\n", "    epochs: int = 20\n    novelty: float = 0.5\n")
    tiles = copies / "dmlbench_tiny" / "tiles.py"
    edit(tiles, "The first half of the classes trains", "The first 50 % of the classes train")
    edit(tiles, "rng = np.random", "# As ever.\n        rng = np.random")
    again = run()
    assert again["started"] == 0 and again["seeds"] == [0]
    assert again["fields"]["novelty"] == 0.5

    edit(tiles, "default_rng(0)", "default_rng(1)")
    assert run()["started"] == 1, "the plugin draws other tiles"
    edit(copies / "dmlbench" / "version.py", "RESULTS_VERSION = ", "RESULTS_VERSION = 1 + ")
    assert run()["started"] == 1, "the results version was raised"
