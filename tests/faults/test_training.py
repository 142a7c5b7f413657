"""Trials that trained nothing and were recorded like any."""

from __future__ import annotations

import pytest

import dmlbench

LOSSES = """
import torch
from dmlbench.hookspecs import LossSpec, hookimpl

class Zero(torch.nn.Module):
    def forward(self, embeddings, labels):
        return embeddings.sum() * 0

class HiddenGradient(torch.nn.Module):
    def forward(self, embeddings, labels):
        return (embeddings - embeddings.detach()).sum()

@hookimpl
def dmlbench_losses():
    return [
        LossSpec(name="zero", target="nothing_plugin:Zero", summary="Is always 0"),
        LossSpec(name="hidden", target="nothing_plugin:HiddenGradient", summary="0 with gradient"),
    ]
"""


@pytest.mark.parametrize("loss, learns", [("zero", False), ("hidden", True)])
def test_row_08_an_objective_that_teaches_nothing_fails_the_trial(
    install, tiny, tmp_path, loss: str, learns: bool
) -> None:
    install("nothing", LOSSES)
    (entry,) = dmlbench.run(losses=loss, out=tmp_path / "out", **(tiny | {"seeds": 1}))
    (trial,) = entry.trials
    if learns:
        assert trial.status == "completed"
    else:
        assert trial.status == "failed" and "exactly 0" in trial.reason and "zero" in trial.reason
