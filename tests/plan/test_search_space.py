"""The search space of a configuration: what may be tried, and where the published optima are."""

from __future__ import annotations

import dataclasses

import pytest

from dmlbench.errors import UsageError
from dmlbench.plan.conditions import condition_of, effective, simplify
from dmlbench.plan.request import Request, rows_of
from dmlbench.plan.search_space import fixed_identity, search_space, values_of, with_values
from dmlbench.plugins.loading import load_plugins, load_target


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


def configurations(registry, losses, combiners=(), **more):
    request = Request(losses=losses, combiners=list(combiners), **more)
    return [row.configuration for row in rows_of(request, registry)]


def rates(space):
    return {key.rpartition(".")[2] for key in space if key.startswith("recipe.optimizer.")}


def test_learning_rates_of_all_that_is_trained_are_searched(registry):
    pair, proxy, ensemble = configurations(registry, ["ms", "proxy-anchor"], ["wedl-c"])
    assert rates(search_space(pair, registry)) == {"backbone_lr", "head_lr"}
    assert rates(search_space(proxy, registry)) == {"backbone_lr", "head_lr", "loss_lr"}
    assert rates(search_space(ensemble, registry)) == {
        *("backbone_lr", "head_lr", "loss_lr", "combiner_lr", "auxiliary_lr")
    }
    frozen = dataclasses.replace(
        pair, recipe=dataclasses.replace(pair.recipe, frozen=True, augment=())
    )
    assert rates(search_space(frozen, registry)) == {"head_lr"}


def test_the_rate_of_proxies_holds_the_published_optima(registry):
    """Musgrave et al. 2020 found rates of proxies from 7e-6 to 2e-1."""
    (single,) = configurations(registry, ["proxy-nca"])
    tried = search_space(single, registry)["recipe.optimizer.loss_lr"]
    assert tried["low"] <= 7e-6 and tried["high"] >= 2e-1 and tried["log"]
    value = single.recipe.optimizer.loss_lr
    assert tried["low"] <= value / 10 and tried["high"] >= value * 10


def test_an_ensemble_is_searched_as_a_whole(registry):
    *_, ensemble = configurations(registry, ["triplet", "ms"], ["wedl"])
    space = search_space(ensemble, registry, fixed={"losses[1].beta"})
    assert {"losses[0].margin", "losses[1].alpha", "combiner.diversity"} <= set(space)
    assert "losses[1].beta" not in space


def test_copies_of_a_loss_share_their_values(registry):
    *_, control = configurations(registry, ["3*triplet"], ["wedl"])
    keys = {key for key in search_space(control, registry) if key.startswith("losses")}
    assert keys == {key for key in keys if key.startswith("losses[0].")} and keys
    changed = with_values(control, {"losses[0].margin": 0.3})
    assert [loss.params["margin"] for loss in changed.losses] == [0.3, 0.3, 0.3]
    assert fixed_identity(changed, keys) == fixed_identity(control, keys)


def test_values_are_put_in_their_place_and_the_rest_is_the_same(registry):
    *_, ensemble = configurations(registry, ["triplet", "ms"], ["wedl"])
    values = {
        "losses[1].alpha": 3.0,
        "combiner.diversity": 0.02,
        "recipe.optimizer.head_lr": 0.5,
    }
    changed = with_values(ensemble, values)
    assert values_of(changed, values) == values and changed.losses[0] == ensemble.losses[0]
    assert changed.entry_id != ensemble.entry_id
    assert fixed_identity(changed, values) == fixed_identity(ensemble, values)
    assert fixed_identity(changed, {"losses[1].alpha"}) != fixed_identity(
        ensemble, {"losses[1].alpha"}
    )
    back = with_values(changed, values_of(ensemble, values))
    assert back.entry_id == ensemble.entry_id


def test_specs_say_what_has_weights(registry):
    """Or their learning rates would not be searched."""
    import dmlbench

    for item in registry.of_kind("losses"):
        loss = dmlbench.load_loss(item.id, num_classes=4, embedding_dim=3)
        assert item.spec.has_weights == bool(list(loss.parameters())), item.id
    for item in registry.of_kind("combiners"):
        given = {"weights": [1, 1]} if item.spec.name == "fixed" else {}
        build = load_target(item.spec.target, item.distribution)
        sizes = {"embedding_dim": 4, "head_dims": [2, 2]} if item.spec.auxiliary else {}
        combiner = build(2, **{**item.spec.defaults, **given, **sizes})
        assert item.spec.learns == bool(list(combiner.parameters())), item.id


@pytest.mark.parametrize(
    "text, searched",
    [
        ("margin", False),  # the boundary has a rate of its own
        ("margin(learn_beta=false)", False),
        ("margin(learn_beta=true,beta_lr=none)", True),
        ("margin(learn_beta=false,beta_lr=none)", False),
        ("proxy-nca", True),
    ],
)
def test_the_rate_of_losses_is_searched_where_it_trains_one(registry, text, searched):
    (row,) = rows_of(Request(losses=[text]), registry)
    space = search_space(row.configuration, registry, row.fixed)
    assert ("loss_lr" in rates(space)) == searched
    assert "when" not in space.get("recipe.optimizer.loss_lr", {})


def test_the_rate_of_losses_has_a_condition_where_the_weights_have_one(registry):
    (row,) = rows_of(Request(losses=["margin(beta_lr=none)"]), registry)
    space = search_space(row.configuration, registry, row.fixed)
    assert space["recipe.optimizer.loss_lr"]["when"] == {"losses[0].learn_beta": [True]}
    *_, both = rows_of(Request(losses=["margin(beta_lr=none)", "proxy-nca"]), registry)
    assert (
        "when"
        not in search_space(both.configuration, registry, both.fixed)["recipe.optimizer.loss_lr"]
    )


@pytest.mark.parametrize(
    "text, name, when",
    [
        ("triplet", "mining_margin", {"losses[0].mining": ["all", "semi-hard"]}),
        ("triplet(mining=all)", "mining_margin", None),
        ("triplet(mining=batch-hard)", "mining_margin", "never"),
        ("n-pairs(scale=16)", "l2_weight", "never"),
        ("xbm", "loss", None),
        ("xbm(params={margin=0.3})", "loss", "never"),  # no choice but the given one has it
    ],
)
def test_conditions_follow_what_the_user_gave(registry, text, name, when):
    (row,) = rows_of(Request(losses=[text]), registry)
    tried = search_space(row.configuration, registry, row.fixed).get(f"losses[0].{name}", "never")
    if when == "never":
        assert tried == "never"
    else:
        assert condition_of(tried) == (when or {})


def test_values_without_an_effect_are_those_of_the_start():
    space = {
        "a": [True, False],
        "b": {"choices": ["x", "y"], "when": {"a": [True]}},
        "c": {"low": 0.0, "high": 1.0, "when": {"b": ["y"]}},
    }
    start = {"a": True, "b": "x", "c": 0.5}
    assert effective(space, {"a": True, "b": "y", "c": 0.7}, start)["c"] == 0.7
    assert effective(space, {"a": False, "b": "y", "c": 0.7}, start) == {**start, "a": False}
    # A condition on what is itself never tried takes the value that is there.
    assert simplify({"b": space["b"], "c": space["c"]}, {"a": False, "b": "x"}.get) == {}
    assert simplify({"b": space["b"], "c": space["c"]}, {"a": False, "b": "y"}.get) == {
        "c": {"low": 0.0, "high": 1.0}
    }


@pytest.mark.parametrize(
    "one, other",
    [
        ("xbm(loss=ms)", "xbm(loss=multi-similarity)"),
        ("xbm", "xbm(params={})"),
        ("xbm(loss=triplet)", "xbm(loss=triplet,params={mining='all'})"),
        ("xbm(params={margin=0.5})", "xbm"),
    ],
)
def test_one_configuration_of_a_wrapped_loss_has_one_id(registry, one, other):
    (first,), (second,) = (configurations(registry, [text]) for text in (one, other))
    assert first.entry_id == second.entry_id


@pytest.mark.parametrize(
    "text, message",
    [
        ("xbm(loss=tripelt)", "Did you mean triplet"),
        ("xbm(loss=n-pairs)", "which it cannot wrap"),
        ("xbm(loss=ms,params={margin=0.3})", "multi-similarity has no such parameter"),
        ("xbm(params={margn=0.3})", "Did you mean margin"),
        ("xbm(params={margin='wide'})", "margin must be a number"),
        ("xbm(params=3)", "params must be a table"),
    ],
)
def test_what_a_wrapped_loss_does_not_have_is_refused(registry, text, message):
    with pytest.raises(UsageError, match=message):
        configurations(registry, [text])
