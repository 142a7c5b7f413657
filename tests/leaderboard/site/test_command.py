"""The command of an entry, read back by the command line itself, asks for the same entry."""

from __future__ import annotations

import shlex

import click
import pytest
from words import refused

from dmlbench.cli.request_options import read_request, request_options
from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.leaderboard.site.command import RECIPE_FILE, rerun_command
from dmlbench.plan.expressions import parse_call
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.assemble import assemble_entry
from dmlbench.running.planning import make_plan

OVERRIDES = {
    "recipe.epochs": 3,
    "recipe.optimizer.backbone_lr": 1e-5,
    "recipe.augment": [{"name": "shift", "pixels": 4}],
    "protocol.validation_fraction": 0.25,
}


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


@click.command()
@request_options
def words(**values):
    return values


def planned(command: str, registry, folder):
    """The plan that a command line asks for, as `dmlbench run` would read it."""
    arguments = shlex.split(command.replace("\\\n", " "))
    assert arguments[:2] == ["dmlbench", "run"]
    values = words.main(arguments[2:], standalone_mode=False)
    return make_plan(read_request({**values, "out": str(folder)}), registry)


def entry_of(request: Request, registry, make_entry, seeds, which=-1):
    """The entry of a planned configuration, with hand-made trials."""
    configuration = make_plan(request, registry).configurations[which]
    made = make_entry(
        "+".join(loss.name for loss in configuration.losses),
        [0.5] * len(seeds),
        seeds=list(seeds),
        combiner="sum" if configuration.combiner else None,
    )
    results = [TrialResult(metadata=made.metadata, trial=trial) for trial in made.trials]
    return assemble_entry(configuration, registry, results)


REQUESTS = {
    "default": Request(),
    "a loss alone": Request(losses=["triplet(margin=0.2, mining=hard)"], combiners=[]),
    "copies": Request(losses=["3*ms(beta=9.0)", "triplet"]),
    "changed recipe": Request(overrides=OVERRIDES),
    "by distance": Request(overrides={"protocol.similarity": "euclidean"}),
    "paper width": Request(overrides={"protocol.dim_budget": "per-loss"}),
    "a timm model": Request(backbone="resnet50", pretrained=True, recipe="paper"),
    "one seed that is not the first": Request(seeds=[3]),
    "another dataset": Request(dataset="glyphs(classes=40, seed=5)"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_command_asks_for_the_entry(name, registry, make_entry, tmp_path):
    request = REQUESTS[name]
    seeds = [3] if request.seeds == [3] else [0, 1, 4]
    entry = entry_of(request, registry, make_entry, seeds)
    found = rerun_command(entry)
    assert found.recipe_text is None
    plan = planned(found.command, registry, tmp_path)
    assert [c.entry_id for c in plan.configurations] == [entry.entry_id]
    assert sorted(trial.seed for trial in plan.trials) == seeds


def test_the_command_asks_for_the_class_splits(registry, make_entry, tmp_path):
    entry = entry_of(Request(), registry, make_entry, [0, 1])
    trials = [
        trial.model_copy(update={"split": split}) for split in (0, 2) for trial in entry.trials
    ]
    found = rerun_command(entry.model_copy(update={"trials": trials}))
    plan = planned(found.command, registry, tmp_path)
    assert {(trial.split, trial.seed) for trial in plan.trials} == {trial.key for trial in trials}


def test_a_recipe_of_the_users_own_comes_as_a_file(registry, make_entry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nepochs = 7\n[batch]\nclasses = 8\n[[augment]]\nname = "flip"\n'
    )
    entry = entry_of(Request(recipe="mine.toml"), registry, make_entry, [0, 1])
    (tmp_path / "mine.toml").unlink()
    found = rerun_command(entry)
    assert f"--recipe {RECIPE_FILE}" in found.lines
    (tmp_path / RECIPE_FILE).write_text(found.recipe_text)
    (configuration,) = planned(found.command, registry, tmp_path).configurations
    assert configuration.entry_id == entry.entry_id


@pytest.mark.parametrize(
    "name",
    ["$(touch x)", "a; rm -rf ~", "tick`s", "two\nlines", "red \x1b[31m", "o'clock", 'in"ch'],
)
def test_a_hostile_name_is_one_word_or_refused(name, make_entry, make_component):
    loss = make_component("triplet", params={"note": name})
    entry = make_entry([loss], recipe={"name": "quick"})
    try:
        command = rerun_command(entry).command
    except UsageError:
        return
    spelled = shlex.split(command.replace("\\\n", " "))
    losses = spelled[spelled.index("--losses") + 1]
    assert parse_call(losses) == ("dmlbench:triplet", {"note": name})
    assert command.replace("\\\n", "").isprintable()


def test_what_the_command_line_cannot_say_is_refused(make_entry, make_component):
    for params in ({"a b": 1}, {"a": [None]}):
        with refused(UsageError):
            rerun_command(make_entry([make_component("triplet", params=params)]))
