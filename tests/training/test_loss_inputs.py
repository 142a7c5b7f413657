"""What a loss looks at is checked before training."""

import pytest
from torch import nn
from words import refused

import dmlbench
from dmlbench.errors import PluginError, UsageError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.views.describe import configuration_rows
from dmlbench.leaderboard.views.table import shown_columns
from dmlbench.plan.config import Component
from dmlbench.training.build import check_inputs


class Configured:
    losses = tuple(Component(distribution="some", name=name) for name in ("one", "two"))


class Taking(nn.Module):
    def __init__(self, takes=None):
        super().__init__()
        if takes is not None:
            self.takes = takes


def test_an_input_that_there_is_not_is_refused():
    with refused(PluginError, "'logits'"):
        check_inputs(Configured, [Taking(), Taking("logits")], 1)
    for takes in (5, ["embeddings"], object()):
        with pytest.raises(PluginError, match="The loss some:two has takes = "):
            check_inputs(Configured, [Taking(), Taking(takes)], 1)


@pytest.mark.parametrize("rate", ["fast", 0, -0.1, True, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate):
    loss = Taking()
    loss.learning_rate = rate
    with refused(UsageError, "learning_rate"):
        check_inputs(Configured, [Taking(), loss], 1)


@pytest.mark.parametrize(
    "takes, heads",
    [(("features", "features"), 1), (("embeddings", "features"), 2)],
    ids=["no loss reaches the embedding", "a head of its own learns nothing"],
)
def test_a_head_that_would_learn_nothing_is_refused(takes, heads):
    with pytest.raises(UsageError, match="some:two looks at the backbone's features") as caught:
        check_inputs(Configured, [Taking(one) for one in takes], heads)
    assert "would learn nothing" in str(caught.value)


def test_a_loss_on_features_beside_one_on_the_embedding_is_fine():
    check_inputs(Configured, [Taking("unnormalised"), Taking("features")], 1)


def test_losses_on_each_input_train_on_one_embedding(tiny, tmp_path):
    """A classifier on the features, n-pairs before normalisation, and a memory with a start."""
    losses = ["cross-entropy(on=features)", "n-pairs", "xbm(start=1)", "margin"]
    options = {**tiny, "losses": losses, "combiners": ["wel"], "seeds": 1, "out": tmp_path}
    (entry,) = dmlbench.run(**options, singles=False)
    # What a loss sets for its own parameters is told wherever the entry is.
    assert [loss.learning_rate for loss in entry.losses] == [None, None, None, 0.0005]
    assert "learning rate of 0.0005" in dict(configuration_rows(entry)[3:])["loss"]
    (column,) = [
        c for c in shown_columns(leaderboard_frame([entry]), "map_at_r") if c.title == "Loss lr"
    ]
    assert column.cells == ["–+–+–+0.0005"]
    assert [trial.status for trial in entry.trials] == ["completed"]
    history = [value for epoch in entry.trials[0].history for value in epoch.losses]
    assert len(history) % 4 == 0 and all(value > 0 for value in history)
