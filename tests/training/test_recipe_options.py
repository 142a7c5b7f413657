"""Options of a recipe in the training loop: a backbone that rests at first, rates, layer norm."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from words import refused

from dmlbench.combiners.fixed import EqualSum
from dmlbench.combiners.pcgrad import PCGrad
from dmlbench.data.images import ImageSet
from dmlbench.errors import UsageError
from dmlbench.losses.proxy_anchor import ProxyAnchorLoss
from dmlbench.plan.recipe import load_recipe
from dmlbench.training.model import EmbeddingModel
from dmlbench.training.parts import TrainingModules
from dmlbench.training.train import Trainer

EPOCHS = 4
PLAIN = {
    "epochs": EPOCHS,
    "validate_every": 1,
    "batch.classes": 4,
    "batch.images": 2,
    "optimizer.weight_decay": 0.0,
}


class Backbone(nn.Module):
    num_features = 5

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 5)
        self.fixed = nn.Parameter(torch.ones(5), requires_grad=False)

    def forward(self, images):
        return self.fixed * self.linear(images.flatten(1)).tanh()


def snapshots(overrides, combiner=EqualSum, validation=None):
    """Copies of all weights, by module, before training and after each epoch; the trainer."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = ImageSet(
        rng.integers(0, 256, (8, 1, 4, 4)).astype(np.uint8), np.arange(4).repeat(2), tuple("abcd")
    )
    parts = TrainingModules(
        model=EmbeddingModel(Backbone(), [3]),
        losses=nn.ModuleList([ProxyAnchorLoss(4, 3), ProxyAnchorLoss(4, 3, alpha=16.0)]),
        loss_names=["one", "two"],
        combiner=combiner(2),
        train_transform=lambda stored, *_: stored.float() / 255,
        test_transform=lambda stored: stored.float() / 255,
        device=torch.device("cpu"),
    )
    recipe = load_recipe("paper", {**PLAIN, **overrides})
    values = iter(validation or itertools.repeat(0.5))
    trainer = Trainer(parts, recipe, images, 0, validate=lambda epoch: next(values))
    modules = {"backbone": parts.model.backbone, "heads": parts.model.heads, "losses": parts.losses}

    def copies():
        return {
            name: torch.cat([p.detach().flatten() for p in module.parameters()])
            for name, module in modules.items()
        }

    return [copies(), *(copies() for _ in trainer.run())], trainer


@pytest.mark.parametrize("micro", [0, 3])
@pytest.mark.parametrize("combiner", [EqualSum, PCGrad])
def test_a_backbone_rests_while_heads_and_proxies_learn(combiner, micro):
    taken, trainer = snapshots({"frozen_epochs": 2, "batch.micro": micro}, combiner)
    for before, after in zip(taken[:3], taken[1:3], strict=False):
        assert torch.equal(before["backbone"], after["backbone"])
        assert not torch.equal(before["heads"], after["heads"])
        assert not torch.equal(before["losses"], after["losses"])
    assert not torch.equal(taken[2]["backbone"], taken[3]["backbone"])
    # What the backbone itself keeps fixed stays so.
    assert torch.equal(trainer.parts.model.backbone.fixed, torch.ones(5))


def test_by_default_the_backbone_learns_from_the_first_epoch():
    taken, _ = snapshots({})
    assert not torch.equal(taken[0]["backbone"], taken[1]["backbone"])


def test_a_resumed_run_rests_and_wakes_as_an_uninterrupted_one():
    taken, whole = snapshots({"frozen_epochs": 2})
    _, halted = snapshots({"frozen_epochs": 2})
    fresh = snapshots({"frozen_epochs": 2, "epochs": 3})[1].state_dict()
    halted.load_state_dict(fresh)
    [*halted.run()]
    for one, other in zip(
        halted.parts.model.parameters(), whole.parts.model.parameters(), strict=True
    ):
        assert torch.equal(one, other)


def test_a_plateau_of_validation_lowers_every_rate():
    schedule = {"schedule.name": "plateau", "schedule.patience": 1, "schedule.factor": 0.5}
    _, trainer = snapshots(schedule, validation=(0.5, 0.4, 0.6, 0.6))
    base = trainer.base_lrs[0]
    rates = [record["learning_rate"] / base for record in trainer.progress.history]
    assert rates == pytest.approx([1.0, 1.0, 0.5, 0.5])


@pytest.mark.parametrize("frozen_epochs, most", [(-1, 19), (20, 19)])
def test_epochs_of_rest_must_leave_one_of_training(frozen_epochs, most):
    with pytest.raises(UsageError, match=f"must be between 0 and {most}"):
        load_recipe("paper", {"epochs": 20, "frozen_epochs": frozen_epochs})


def test_a_frozen_backbone_rests_to_the_end_anyway():
    with refused(UsageError, "recipe.frozen"):
        load_recipe("frozen", {"frozen_epochs": 1})


def test_layer_norm_normalises_the_features_before_the_heads():
    torch.manual_seed(0)
    backbone = Backbone()
    model = EmbeddingModel(backbone, [3, 2], layer_norm=True)
    features = torch.randn(6, 5) * 7 + 3
    centred = features - features.mean(1, keepdim=True)
    scaled = centred / (features.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    for head, got in zip(model.heads, model.embed(features), strict=True):
        expected = scaled @ head.weight.T + head.bias
        torch.testing.assert_close(got, expected / expected.norm(dim=1, keepdim=True))
    assert sum(p.numel() for p in model.parameters()) == sum(
        p.numel() for p in EmbeddingModel(backbone, [3, 2]).parameters()
    )
