"""Configurations side by side are told apart by what a user would type."""

from __future__ import annotations

import pytest

from dmlbench.errors import UsageError
from dmlbench.plan.expressions import parse_call, parse_value, split_list
from dmlbench.plan.labels import label
from dmlbench.plan.request import Request
from dmlbench.plan.writing import write_call, write_value
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan

REGISTRY = load_plugins()


def labels(tmp_path, losses, **more) -> list[str]:
    plan = make_plan(Request(losses=losses, out=tmp_path, seeds=1, **more), REGISTRY)
    return [label(configuration, REGISTRY) for configuration in plan.configurations]


def test_only_what_differs_from_the_defaults_is_named(tmp_path):
    losses = ["triplet(margin=0.1)", "triplet(mining=semi-hard)", "ms(alpha=2.0, beta=9)"]
    assert labels(tmp_path, losses) == [
        "triplet(margin=0.1)",
        "triplet(mining=semi-hard)",
        "multi-similarity(beta=9)",
        "wedl(triplet(margin=0.1) + triplet(mining=semi-hard) + multi-similarity(beta=9))",
    ]
    combined = labels(tmp_path, ["ms", "supcon"], combiners=["wedl(penalty=1.5)"], singles=False)
    assert combined == ["wedl(penalty=1.5) of multi-similarity + supcon"]


def test_copies_are_trained_alone_once_and_combined_as_many(tmp_path):
    assert labels(tmp_path, ["3*ms(beta=9)", "triplet"], combiners=["wel"]) == [
        "multi-similarity(beta=9)",
        "triplet",
        "wel(3*multi-similarity(beta=9) + triplet)",
    ]
    plan = make_plan(Request(losses=["2*ms"], combiners=["sum"], out=tmp_path), REGISTRY)
    alone, together = plan.configurations
    assert together.losses == alone.losses * 2
    assert together.label() == "sum(2*multi-similarity)"
    for text, message in (("0*ms", "no copy"), ("65*ms", "65 losses are too many")):
        with pytest.raises(UsageError, match=message):
            labels(tmp_path, [text])


def test_the_label_of_a_loss_can_be_typed_again(tmp_path):
    text = (
        "cross-batch-memory(loss=triplet, memory_size=64, params={margin = 0.3, mining = 'hard'})"
    )
    (written,) = labels(tmp_path, [text])
    name, params = parse_call(written)
    assert (name, params["params"]) == ("cross-batch-memory", {"margin": 0.3, "mining": "hard"})
    assert labels(tmp_path, [written]) == [written]


@pytest.mark.parametrize(
    "value",
    [None, True, 0, -3, 0.1, 1e-9, 1e300, "semi-hard", "none", "true", "0.1", "a, b", "(", "nan",
     "it's", 'say "x", y', "", " ", "\u00e9\u7f8e", [1, [2.5, "a"]], {"a": {"b c": [True]}}, []],
)  # fmt: skip
def test_what_is_written_is_read_as_the_same_value(value):
    assert parse_value(write_value(value)) == value
    call = write_call("name", {"first": value, "second": 1})
    (part,) = split_list(call)
    assert parse_call(part) == ("name", {"first": value, "second": 1})
