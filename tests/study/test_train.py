"""A whole study on a tiny dataset: tuned and trained in two parts, brought together, answered."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.store import read_leaderboards
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.jobs import Resources
from dmlbench.running.runner import execute_plan
from dmlbench.study.analysis import analyse
from dmlbench.study.boards import find_entries, find_in, study_rows
from dmlbench.study.design import read_study
from dmlbench.study.train import part_of, plan_rows, tune_rows

DESIGN = """
title = "Tiny"
question = "Does it run?"
smallest = 1.0
seeds = 1
splits = [1, 2, 3]
budget = 2
[datasets.tiny]
dataset = "tiny"
[datasets.tiny.set.recipe]
epochs = 2
embedding_dim = 8
input = {size = 16, resize = 16}
batch = {classes = 6, images = 2}
[rows.triplet]
losses = ["triplet"]
[rows.defaults]
losses = ["triplet"]
tuned = false
[rows.both]
losses = ["triplet", "ms"]
combiner = "wedl"
tuned = false
set = {recipe.optimizer.combiner_lr = 0.0}
[contrasts.lead]
question = "Is both better than triplet?"
of = ["both"]
over = ["triplet"]
primary = true
"""


@pytest.fixture
def study(tiny, tmp_path):
    (tmp_path / "design.toml").write_text(DESIGN)
    return read_study(tmp_path / "design.toml")


def carried_out(study, registry, out, part=1, parts=1):
    rows = part_of(study_rows(study, registry, out), part, parts)
    resources = Resources(jobs=2, device="cpu")
    tune_rows(study, rows, registry, resources)
    plans = plan_rows(rows, registry)
    for plan in plans:
        execute_plan(plan, registry, resources)
    return plans


@pytest.mark.slow
def test_two_parts_are_one_study_and_each_row_is_found_once(study, tmp_path):
    registry = load_plugins()
    outs = [tmp_path / "one", tmp_path / "two"]
    for number, out in enumerate(outs, start=1):
        carried_out(study, registry, out, number, 2)
    shutil.copytree(outs[1], outs[0], dirs_exist_ok=True)
    (plan,) = carried_out(study, registry, outs[0])
    assert {t.status for t in plan.trials} == {"completed"}, "nothing is trained again"
    found = find_in(study, registry, outs[0])
    assert set(found.values["tiny"]) == {"triplet", "defaults", "both"}
    assert all(len(trials) == 3 for trials in found.values["tiny"].values())
    assert len(found.entries["tiny"]["triplet"][0].tuning[0].trials) == 2
    (lead,) = analyse(study, found.values).answers
    assert lead.answer != "incomplete" and lead.contrast.units == 3

    design, folder = str(tmp_path / "design.toml"), ["--leaderboards", str(outs[0])]
    run = CliRunner().invoke(cli, ["study", "run", design, *folder, "--quiet"])
    assert run.exit_code == 0 and "Entries are in" in run.stdout
    plan = CliRunner().invoke(cli, ["study", "plan", design, *folder])
    assert plan.stdout.count("3/3") == 3 and "Nothing is left to train." in plan.stdout
    assert "80 % power" in " ".join(plan.stdout.split())
    report = CliRunner().invoke(
        cli, ["study", "report", design, *folder, "--figures", str(tmp_path)]
    )
    assert "not answered yet" not in report.stdout and "# Tiny" in report.stdout
    drawn = {path.name for path in tmp_path.glob("*.png")}
    assert drawn == {"differences.png", "budgets.png"}

    entries, _ = read_leaderboards(outs[0])
    rows = study_rows(study, registry, outs[0])
    other = study.model_copy(update={"budget": 5})
    assert "triplet" not in find_entries(other, rows, entries).values["tiny"]
    again = entries[0].model_copy(update={"submitter": "another"})
    with pytest.raises(UsageError, match="2 entries"):
        find_entries(study, rows, [*entries, again])


def test_parts_divide_the_rows(study, tmp_path):
    rows = study_rows(study, load_plugins(), tmp_path)
    parts = [part_of(rows, part, 2) for part in (1, 2)]
    assert [row.name for part in parts for row in part] == ["triplet", "both", "defaults"]
    with pytest.raises(UsageError, match="3 of 2"):
        part_of(rows, 3, 2)


def test_a_row_that_cannot_be_is_named(study, tmp_path):
    rows = {**study.rows, "wrong": study.rows["both"].model_copy(update={"combiner": None})}
    with pytest.raises(UsageError, match="rows.wrong on tiny"):
        study_rows(study.model_copy(update={"rows": rows}), load_plugins(), tmp_path)
