"""Configurations have one canonical form; every value of a recipe is checked."""

from __future__ import annotations

import dataclasses
import re

import pytest

from dmlbench.errors import UsageError
from dmlbench.plan.config import (
    Component,
    Configuration,
    Protocol,
    canonical_json,
    configuration_from_json,
)
from dmlbench.plan.protocol import dim_budget_of, protocol_from_json
from dmlbench.plan.recipe import load_recipe, recipe_names


def configuration(**changes):
    values = {
        "losses": (Component(distribution="dmlbench", name="triplet", params={"margin": 0.1}),),
        "combiner": None,
        "dataset": Component(distribution="dmlbench", name="glyphs", params={"seed": 0}),
        "backbone": Component(
            distribution="dmlbench", name="resnet-mini", params={"channels": (16, 32)}
        ),
        "recipe": load_recipe("quick"),
        "protocol": Protocol(),
    }
    return Configuration(**(values | changes))


def test_a_configuration_survives_its_json():
    before = configuration()
    after = configuration_from_json(before.to_json())
    assert after.entry_id == before.entry_id
    assert canonical_json(after.to_json()) == canonical_json(before.to_json())


def test_the_id_depends_on_everything_that_is_compared():
    one = Component(distribution="dmlbench", name="triplet", params={"margin": 0.2})
    other = Component(distribution="elsewhere", name="triplet", params={"margin": 0.1})
    changed = [
        configuration(losses=(one,)),
        configuration(losses=(other,)),
        configuration(protocol=Protocol(dim_budget="per-loss")),
        configuration(recipe=load_recipe("quick", {"epochs": 4})),
        configuration(recipe=load_recipe("quick", {"optimizer.head_lr": 2e-3})),
    ]
    ids = {configuration().entry_id, *(c.entry_id for c in changed)}
    assert len(ids) == len(changed) + 1
    assert all(re.fullmatch("[0-9a-f]{16}", entry_id) for entry_id in ids)


def test_the_summary_of_a_recipe_is_no_part_of_the_id():
    recipe = dataclasses.replace(load_recipe("quick"), summary="Reworded")
    assert configuration(recipe=recipe).entry_id == configuration().entry_id


def test_several_losses_need_a_combiner():
    loss = configuration().losses[0]
    with pytest.raises(UsageError, match="need a combiner"):
        configuration(losses=(loss, loss))


@pytest.mark.parametrize("name", recipe_names())
def test_packaged_recipes_load_without_overrides(name):
    recipe = load_recipe(name)
    assert recipe.name == name and recipe.summary and recipe.overrides() == {}


def test_overrides_are_applied_and_remembered():
    recipe = load_recipe("quick", {"epochs": 4, "optimizer.head_lr": 1, "batch.images": 4})
    assert (recipe.epochs, recipe.optimizer.head_lr) == (4, 1.0)
    assert recipe.overrides() == {"epochs": 4, "optimizer.head_lr": 1.0}


def test_a_recipe_of_the_user(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 3\n[[augment]]\nname = "flip"\n')
    recipe = load_recipe(str(file))
    assert (recipe.name, recipe.epochs, recipe.augment) == ("mine", 3, ({"name": "flip"},))
    file.write_text("epochs = ")
    with pytest.raises(UsageError, match="mine.toml is not valid TOML"):
        load_recipe(str(file))


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"epoch": 4}, "there is no recipe.epoch. Did you mean recipe.epochs"),
        ({"epochs": "four"}, "recipe.epochs must be of type int, not 'four'"),
        ({"epochs": True}, "recipe.epochs must be of type int, not True"),
        ({"epochs": 0}, "recipe.epochs must be at least 1"),
        ({"optimizer": 3}, "recipe.optimizer is a table"),
        ({"optimizer.name": "lion"}, "must be one of adam, adamw, rmsprop, sgd, not 'lion'"),
        ({"optimizer.head_lr": -1}, "must not be negative"),
        ({"epochs.a": 1}, "recipe.epochs is a value"),
        ({"augment": "flip"}, "must be a list of tables"),
        ({"input.size": 64}, "must be at least recipe.input.size"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named(overrides, message):
    with pytest.raises(UsageError, match=message):
        load_recipe("quick", overrides)


def test_an_unknown_recipe_names_the_packaged_ones():
    with pytest.raises(UsageError, match="no recipe 'fast'. Packaged: frozen, paper, quick, sta"):
        load_recipe("fast")


@pytest.mark.parametrize("change", [{"dim_budget": "wide"}, {"validation_fraction": 0.0}])
def test_a_protocol_that_cannot_be(change):
    with pytest.raises(UsageError, match="protocol"):
        Protocol(**change)


@pytest.mark.parametrize(
    ("name", "rule"), [("zsl-v1", {"width": "paper"}), ("zsl-v2", {"dim_budget": "per-loss"})]
)
def test_each_protocol_keeps_its_word_for_the_dimension_budget(name, rule):
    protocol = Protocol(name=name, dim_budget="per-loss")
    rules = protocol.to_json()
    assert {k: v for k, v in rules.items() if k in ("width", "dim_budget")} == rule
    assert protocol.identity() == {"name": name, **rule}
    assert protocol_from_json(rules) == protocol and dim_budget_of(rules) == "per-loss"
