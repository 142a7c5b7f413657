"""What is left out of a configuration's identity, and what never is."""

from __future__ import annotations

import dataclasses

import pytest
from words import refused

from dmlbench.errors import UsageError
from dmlbench.plan import config
from dmlbench.plan.code import code_sha256, component_sources, with_defaults
from dmlbench.plan.config import configuration_from_json
from dmlbench.plan.identity import code_identity, states_the_same, without_defaults
from dmlbench.plan.labels import label
from dmlbench.plan.recipe import Recipe
from dmlbench.plan.request import Request, configurations_of, rows_of
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.tuning_records import setting_of
from dmlbench.version import RESULTS_VERSION


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


def of(registry, *losses, **more):
    return configurations_of(Request(losses=losses, combiners=[], **more), registry)


def test_a_parameter_given_at_its_default_is_the_same_configuration(registry):
    (plain,) = of(registry, "arcface")
    default = plain.losses[0].params["scale"]
    for text in (f"arcface(scale={int(default)})", f"arcface(scale={float(default)})"):
        (given,) = of(registry, text)
        assert given.entry_id == plain.entry_id
    (other,) = of(registry, f"arcface(scale={default + 1})")
    assert other.entry_id != plain.entry_id


def test_a_new_recipe_field_with_a_default_changes_no_id(registry, monkeypatch):
    (before,) = of(registry, "triplet")

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Larger(Recipe):
        novelty: float = 0.5

    monkeypatch.setattr(config, "Recipe", Larger)
    values = {f.name: getattr(before.recipe, f.name) for f in dataclasses.fields(Recipe)}
    after = dataclasses.replace(before, recipe=Larger(**values))
    assert "novelty" in after.to_json()["recipe"] and after.entry_id == before.entry_id
    changed = dataclasses.replace(before, recipe=Larger(**values, novelty=1.0))
    assert changed.entry_id != before.entry_id


def test_a_new_parameter_with_a_default_changes_no_id_and_fills_a_stored_configuration(registry):
    (stored,) = of(registry, "triplet")
    item = registry.resolve("losses", "triplet")
    spec = dataclasses.replace(item.spec, defaults={**item.spec.defaults, "novelty": 2.0})
    components = tuple(
        dataclasses.replace(item, spec=spec) if other == item else other
        for other in registry.components
    )
    later = dataclasses.replace(registry, components=components)
    (after,) = of(later, "triplet")
    assert after.losses[0].params["novelty"] == 2.0 and after.entry_id == stored.entry_id
    read = with_defaults(configuration_from_json(stored.to_json()), later)
    assert read.losses[0].params["novelty"] == 2.0 and read.entry_id == stored.entry_id
    assert states_the_same(stored.to_json(), read.to_json())


def test_with_defaults_gives_a_stored_configuration_its_id(registry):
    (made,) = of(registry, "triplet(margin=0.3)", overrides={"recipe.epochs": 3})
    read = configuration_from_json(made.to_json())
    assert with_defaults(read, registry).entry_id == made.entry_id


def test_no_source_of_a_built_in_decides_its_code(registry):
    (made,) = of(registry, "triplet")
    assert set(component_sources(made, registry).values()) == {None}
    assert code_sha256(made, registry) == code_identity({}, RESULTS_VERSION)


def test_the_results_version_and_the_source_of_a_plugin_decide_the_code():
    one = code_identity({"losses/x:y": "a", "datasets/dmlbench:glyphs": None}, 1)
    assert one == code_identity({"losses/x:y": "a"}, 1)
    assert one != code_identity({"losses/x:y": "b"}, 1)
    assert one != code_identity({"losses/x:y": "a"}, 2)


def test_true_is_not_one_and_equal_numbers_are_one():
    assert without_defaults({"a": True, "b": 2.0, "c": (1, 2)}, {"a": 1, "b": 2, "c": [1, 2]}) == {
        "a": True
    }


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("arcface", "arcface(scale=64)"),
        ("arcface(scale=64)", "arcface(scale=64.0)"),
        ("recall-at-k-surrogate", "recall-at-k-surrogate(ks=[1, 2, 4, 8, 16])"),
    ],
)
def test_two_ways_to_write_a_loss_are_one_row_of_one_name(registry, one, other):
    with refused(UsageError):
        rows_of(Request(losses=(one, other)), registry)
    (first,), (second,) = of(registry, one), of(registry, other)
    assert first.entry_id == second.entry_id
    assert label(first, registry) == label(second, registry) == first.losses[0].name
    (tuned,) = {setting_of(c, registry).sha256 for c in (first, second)}
    assert tuned


def test_two_ways_to_write_a_combiner_are_one_row(registry):
    request = Request(
        losses=("triplet", "ms"),
        combiners=("wedl", "learned", "wedl(diversity=0.05)", "wedl(penalty=10000)"),
        singles=False,
    )
    assert len(configurations_of(request, registry)) == 1
