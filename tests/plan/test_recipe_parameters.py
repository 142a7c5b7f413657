"""Parameters that a recipe brings for losses and combiners, and what asks for the paper's width."""

from __future__ import annotations

import dataclasses

import pytest
from words import refused

from dmlbench.errors import UsageError
from dmlbench.plan.recipe import load_recipe
from dmlbench.plan.request import Request, configurations_of
from dmlbench.plan.usual_parameters import usual_of, usual_parameters
from dmlbench.plugins.loading import load_plugins

REGISTRY = load_plugins()
AUTHORS = ["cross-entropy", "triplet", "binomial-deviance", "proxy-nca"]


def planned(**request):
    return configurations_of(Request(**request), REGISTRY)


def test_recipe_paper_is_the_authors_set():
    *singles, wel, wedl = planned(recipe="paper", losses=AUTHORS, combiners=["wel", "wedl"])
    assert singles[1].losses[0].params == {
        "margin": 1.0, "mining_margin": 0.1, "mining": "semi-hard", "squared": False
    }  # fmt: skip
    proxy_nca = singles[3].losses[0].params
    assert (proxy_nca["softmax_scale"], proxy_nca["smoothing"]) == (3.0, 0.1)
    assert wel.combiner.params["prior"] == [2, 1, 2, 3]
    assert (wedl.combiner.params["prior"], wedl.combiner.params["diversity"]) == (
        [2, 1, 2, 3],
        0.01,
    )
    # What the components say is not said again: it would be part of the identity twice.
    assert "parameters" not in wedl.to_json()["recipe"]


def test_a_prior_by_loss_follows_the_losses_and_needs_all_of_them():
    def prior(losses):
        return planned(recipe="paper", losses=losses, combiners=["wel"])[-1].combiner.params[
            "prior"
        ]

    assert prior(["proxy-nca", "triplet"]) == [3, 1]
    assert prior(["proxy-nca", "ms"]) is None


def test_what_is_given_comes_before_the_recipes():
    single, *_ = planned(recipe="paper", losses=["triplet(margin=0.3)"])
    assert single.losses[0].params["margin"] == 0.3
    assert single.losses[0].params["mining_margin"] == 0.1


def test_a_recipe_of_the_user_brings_parameters_too(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[parameters.triplet]\nmargin = 0.4\n")
    (single,) = planned(recipe=str(file), losses=["triplet"])
    assert single.losses[0].params["margin"] == 0.4
    file.write_text("parameters = {triplet = 3}\n")
    with refused(UsageError):
        load_recipe(str(file))
    file.write_text("[parameters.triplet]\nmargn = 0.4\n")
    with refused(UsageError, "'margn'"):
        planned(recipe=str(file), losses=["triplet"])


def test_what_is_wider_than_a_loss_asks_for_the_papers_width():
    text = "wedl-c(compressor=authors)"
    with refused(UsageError, "--dim-budget"):
        planned(combiners=[text])
    wide = planned(combiners=[text], overrides={"protocol.dim_budget": "per-loss"})[-1]
    assert wide.protocol.dim_budget == "per-loss"
    narrow = planned(combiners=["wedl-c"], overrides={"protocol.dim_budget": "per-loss"})[-1]
    assert narrow.protocol.dim_budget == "total"


PRIOR = "[parameters.wel]\nprior = {{ {} }}\n"


@pytest.mark.parametrize(
    "text, params",
    [
        ("[parameters.ms]\nalpha = 18.0\n", {"alpha": 18.0}),
        ("[parameters.multi-similarity]\nalpha = 18.0\n", {"alpha": 18.0}),
        ('[parameters."dmlbench:ms"]\nalpha = 18.0\n', {"alpha": 18.0}),
    ],
)
def test_a_table_goes_by_name_alias_or_id(tmp_path, text, params):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    for losses in (["ms"], ["multi-similarity"]):
        (single,) = planned(recipe=str(file), losses=losses)
        assert params.items() <= single.losses[0].params.items()


@pytest.mark.parametrize(
    "text, message",
    [
        ("[parameters.tripelt]\nmargin = 0.5\n", "Did you mean triplet"),
        ('[parameters."other:triplet"]\nmargin = 0.5\n', "no loss or combiner named"),
        ("[parameters.proxy-nca]\nscale = 0.5\n", "no parameter 'scale'"),
        ("[parameters.proxy-nca]\nsmoothing = 'much'\n", "smoothing must be a number"),
        ("[parameters.ms]\n[parameters.multi-similarity]\n", "another table already has"),
        (PRIOR.format("tripelt = 1"), "Did you mean triplet"),
        (PRIOR.format("ms = 1, multi-similarity = 2"), "names dmlbench:multi-similarity twice"),
    ],
)
def test_what_a_recipe_misspells_is_refused_whether_or_not_it_is_used(tmp_path, text, message):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        planned(recipe=str(file), losses=["triplet"])


def test_a_prior_by_loss_means_the_losses_of_one_distribution(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text(PRIOR.format("ms = 1, proxy-nca = 3"))
    recipe = load_recipe(str(file))
    wel = REGISTRY.resolve("combiners", "wel")
    losses = [c.losses[0] for c in planned(losses=["proxy-nca", "ms"], combiners=[])]
    usual = usual_parameters(recipe, REGISTRY)
    assert usual_of(wel, usual, losses)["prior"] == [3, 1]
    elsewhere = dataclasses.replace(losses[0], distribution="other")
    assert "prior" not in usual_of(wel, usual, [elsewhere, losses[1]])
