"""What a trial reads from objects of plugins: what breaks its contract is named, exit code 3."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dmlbench.combiners.base import Combiner
from dmlbench.errors import PluginError, UsageError
from dmlbench.training.contracts import (
    check_backbone,
    check_combiner,
    check_module,
    head_dims_of,
    read,
)


class Unreadable:
    """Any attribute raises, and so does showing it."""

    def __getattr__(self, name):
        raise RuntimeError(f"no {name}")

    def __repr__(self):
        raise RuntimeError("no repr")


def backbone(**changes):
    module = nn.Flatten()
    values = {"num_features": 8, "mean": (0.5,) * 3, "std": [0.5] * 3} | changes
    for name, value in values.items():
        if value is not None:
            setattr(module, name, value)
    return module


WRONG = [None, "8", -1, 0, 2.5, True, np.int64(8), [8], object(), Unreadable()]
WRONG_CHANNELS = [None, 0.5, "abc", (0.5,) * 2, (0.5, "a", 0.5), (0.5, float("nan"), 0.5),
                  torch.ones(3), Unreadable()]  # fmt: skip


@pytest.mark.parametrize(
    ("attribute", "value"),
    [*(("num_features", value) for value in WRONG),
     *((name, value) for name in ("mean", "std") for value in WRONG_CHANNELS),
     ("std", (0.5, 0.0, 0.5))],
    ids=str.__class__,
)  # fmt: skip
def test_a_backbone_that_does_not_say_what_it_is_is_named(attribute, value):
    check_backbone(backbone(), "The backbone x:y")
    with pytest.raises(PluginError, match=f"The backbone x:y has {attribute} = ") as caught:
        check_backbone(backbone(**{attribute: value}), "The backbone x:y")
    assert caught.value.exit_code == 3


def test_an_attribute_that_raises_is_named():
    for name in ("takes", "num_features"):
        with pytest.raises(
            PluginError, match=f"x has an attribute {name} that cannot be read: Run"
        ):
            read(Unreadable(), name, "x")


class Right(Combiner):
    pass


def combiner(**changes):
    built = Right(2)
    for name, value in changes.items():
        setattr(built, name, value)
    return built


@pytest.mark.parametrize(
    "changes",
    [{"at": "nowhere"}, {"at": None}, {"at": np.ones(2)}, {"sees_gradients": 1},
     {"combines_gradients": None}, {"sees_gradients": torch.ones(2)}],
)  # fmt: skip
def test_a_combiner_with_wrong_attributes_is_named(changes):
    assert check_combiner(combiner(), "The combiner x:y").num_losses == 2
    (name,) = changes
    with pytest.raises(PluginError, match=f"The combiner x:y has {name} = "):
        check_combiner(combiner(**changes), "The combiner x:y")


def test_what_is_no_combiner_or_module_is_named():
    with pytest.raises(PluginError, match="must build a dmlbench.combiners.base.Combiner, not Lin"):
        check_combiner(nn.Linear(1, 1), "The combiner x:y")
    with pytest.raises(PluginError, match="must build a torch.nn.Module, not function"):
        check_module(read, "The loss x:y")
    broken = combiner()
    broken.__dict__["auxiliary"] = 5
    with pytest.raises(PluginError, match="has auxiliary = 5"):
        check_combiner(broken, "The combiner x:y")


@pytest.mark.parametrize("dims", [None, 8, [], [8, 8, 8], [8.0], [0], ["8"], [True], "88"])
def test_widths_of_heads_that_cannot_be_are_named(dims):
    class Heads:
        head_dims = staticmethod(lambda *given: dims)

    with pytest.raises(PluginError, match="The combiner x:y has head_dims "):
        head_dims_of(Heads, "The combiner x:y", 8, 2, "total")


def test_heads_that_raise_are_the_users_values_or_the_plugins_fault():
    class Heads:
        def head_dims(dim, num_losses, budget):
            raise error

    error = ValueError("too narrow")
    with pytest.raises(UsageError, match=r"^the combiner x:y: too narrow\.$"):
        head_dims_of(Heads, "The combiner x:y", 8, 2, "total")
    error = KeyError("dim")
    with pytest.raises(PluginError, match="cannot say its head_dims: KeyError: 'dim'"):
        head_dims_of(Heads, "The combiner x:y", 8, 2, "total")
    with pytest.raises(PluginError, match="must be a subclass of dmlbench.combiners.base.Combiner"):
        head_dims_of(object, "The combiner x:y", 8, 2, "total")
