"""What `info` shows of components and recipes, and says of names that nothing has."""

from __future__ import annotations

import json
import tomllib

import pytest

from dmlbench.plan.recipe import load_recipe, recipe_names
from dmlbench.plugins.loading import load_plugins
from dmlbench.plugins.registry import KINDS


@pytest.mark.parametrize(
    "name, message",
    [
        ("quik", "Did you mean quick (recipe)?"),
        ("cubs", "Did you mean cub (dataset)?"),
        ("leared", "Did you mean learned (combiner)?"),
        ("tripplet", "Did you mean triplet (loss)"),
        ("dmlbench:tripplet", "Did you mean dmlbench:triplet (loss)"),
        ("resnet5O", "(backbone of timm)"),
        ("0", "Give at least 4 digits of an entry id."),
        ("3f9", "Give at least 4 digits of an entry id."),
    ],
)
def test_a_name_that_nothing_has_gets_the_close_ones_of_every_kind(call, name, message):
    code, out, err = call("info", name)
    assert (code, out) == (2, "") and message in err
    assert "There is no loss, combiner, dataset, backbone, recipe or entry named" in err


def test_a_model_of_timm_is_told_as_one(call):
    code, out, _ = call("info", "resnet50")
    assert code == 0 and "resnet50 is a model of timm: --backbone resnet50" in out
    assert "dmlbench:timm" in out


def test_parameters_are_shown_with_meaning_and_range(call):
    code, out, _ = call("info", "triplet")
    assert code == 0 and "`dmlbench tune` tries 0.02 to 1.0, log" in out
    assert "use squared distances (up to 4)" in out and "what they mean" not in out
    document = json.loads(call("info", "triplet", "--json")[1])
    assert document["search"]["margin"] == {"low": 0.02, "high": 1.0, "log": True}
    assert document["meanings"]["margin"].startswith("at least 0")


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_of_ours_has_a_meaning_or_a_pointer(call, kind):
    for item in load_plugins().of_kind(kind):
        if item.distribution == "dmlbench":
            _, out, _ = call("info", item.id)
            document = json.loads(call("info", item.id, "--json")[1])
            assert set(document["meanings"]) <= set(document["defaults"])
            whole = set(document["meanings"]) == set(document["defaults"])
            assert whole != ("what they mean: see " in out), item.id


def test_parameters_of_a_class_without_text_point_to_it(call, install):
    install(
        "their-losses",
        """
        from dmlbench.hookspecs import LossSpec, hookimpl
        @hookimpl
        def dmlbench_losses():
            return [LossSpec(name="theirs", target="their_losses_plugin:Theirs", summary="s",
                             defaults={"known": 1, "other": 2}, search={"other": [2, 4]})]
        class Theirs:
            '''A loss.

            known: what it is,
                on two lines.
            '''
        """,
    )
    code, out, _ = call("info", "theirs")
    assert code == 0 and "        what it is, on two lines.\n" in out
    assert "tries 2, 4" in out
    assert "what they mean: see their_losses_plugin:Theirs of their-losses" in out


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_is_shown_as_the_file_that_it_could_be(call, name):
    code, out, _ = call("info", name)
    shown = {"augment": [], **tomllib.loads(out)}
    assert code == 0 and shown == load_recipe(name).to_json()
    assert json.loads(call("info", name, "--json")[1]) == load_recipe(name).to_json()
