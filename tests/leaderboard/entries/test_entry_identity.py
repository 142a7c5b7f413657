"""An entry of schema 2 says its identity, and the identity says what the entry says."""

from __future__ import annotations

import copy

import pytest

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.config import sha256_of


@pytest.fixture
def second(make_entry):
    data = make_entry().model_dump()
    identity = make_entry().configuration_json()
    identity["recipe"] = {"name": identity["recipe"]["name"]}
    for record in (*data["losses"], data["dataset"], data["backbone"], data["combiner"] or {}):
        record["source_sha256"] = None
    return data | {
        "schema_version": 2, "core_sha256": None, "results_version": 1, "identity": identity,
        "entry_id": sha256_of(identity)[:16],
    }  # fmt: skip


def test_it_is_read_and_its_id_is_the_hash_of_the_identity(second):
    entry = Entry.model_validate(second)
    assert entry.entry_id == sha256_of(entry.identity_json())[:16]
    assert entry.identity_json() != entry.configuration_json()


def test_an_identity_that_contradicts_the_configuration_is_refused(second):
    identity = copy.deepcopy(second["identity"])
    identity["recipe"]["epochs"] = 10**5
    wrong = second | {"identity": identity, "entry_id": sha256_of(identity)[:16]}
    with pytest.raises(ValueError, match="the identity says other than the configuration"):
        Entry.model_validate(wrong)


@pytest.mark.parametrize("part", ["losses", "backbone", "dataset"])
@pytest.mark.parametrize("left", [(), ("name", "params"), ("distribution", "name")])
def test_an_identity_names_every_component_in_full(second, part, left):
    identity = copy.deepcopy(second["identity"])
    whole = identity["losses"][0] if part == "losses" else identity[part]
    few = {key: whole[key] for key in left}
    identity[part] = [few] if part == "losses" else few
    wrong = second | {"identity": identity, "entry_id": sha256_of(identity)[:16]}
    with pytest.raises(ValueError, match="needs distribution, name and params of each component"):
        Entry.model_validate(wrong)


def test_an_identity_names_the_combiner_in_full(second, make_entry):
    data = make_entry("triplet+ms", combiner="wedl").model_dump()
    identity = make_entry("triplet+ms", combiner="wedl").configuration_json() | {"combiner": {}}
    for record in (*data["losses"], data["dataset"], data["backbone"], data["combiner"]):
        record["source_sha256"] = None
    changes = {"schema_version": 2, "core_sha256": None, "results_version": 1}
    wrong = data | changes | {"identity": identity, "entry_id": sha256_of(identity)[:16]}
    with pytest.raises(ValueError, match="needs distribution, name and params of each component"):
        Entry.model_validate(wrong)


@pytest.mark.parametrize("value", [5, None, [], "adam"])
@pytest.mark.parametrize("part", ["optimizer", "schedule", "batch", "input"])
def test_a_part_of_the_recipe_that_should_be_a_table_is_one(second, part, value):
    recipe = second["recipe"] | {part: value}
    identity = second["identity"] | {"recipe": recipe}
    wrong = second | {"recipe": recipe, "identity": identity}
    with pytest.raises(ValueError, match=f"recipe.{part} is not a table"):
        Entry.model_validate(wrong | {"entry_id": sha256_of(identity)[:16]})


@pytest.mark.parametrize("missing", ["results_version", "identity"])
def test_neither_is_left_out(second, missing):
    with pytest.raises(ValueError, match="schema 2 needs results_version and identity"):
        Entry.model_validate(second | {missing: None})


def test_a_component_of_a_plugin_needs_its_source(second):
    identity = copy.deepcopy(second["identity"])
    for losses in (second["losses"], identity["losses"]):
        losses[0]["distribution"] = "elsewhere"
    wrong = second | {"identity": identity, "entry_id": sha256_of(identity)[:16]}
    with pytest.raises(ValueError, match="a component of a plugin needs a source"):
        Entry.model_validate(wrong)


def test_schema_1_keeps_its_own_rule(make_entry):
    data = make_entry().model_dump()
    assert data["schema_version"] == 1
    with pytest.raises(ValueError, match="schema 1 has no results_version"):
        Entry.model_validate(data | {"results_version": 1})
