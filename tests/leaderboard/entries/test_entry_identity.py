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
