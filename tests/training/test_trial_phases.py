"""What a trial does when: each phase says what it is, and does only the work that it needs."""

from __future__ import annotations

import pytest
import torch

from dmlbench.data.training_phase import _Phase
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.training import heartbeat, train_phase
from dmlbench.training.data_source import DataSource
from dmlbench.training.trial import evaluate_trial, run_validation, train_trial


@pytest.fixture
def arguments(tiny, tmp_path):
    registry = load_plugins()
    overrides = {**tiny["overrides"], "recipe.epochs": 1, "recipe.pca_dim": 3}
    request = Request(losses=["ms"], dataset="tiny", overrides=overrides, out=tmp_path)
    plan = make_plan(request, registry)
    (configuration,), (planned, *_) = plan.configurations, plan.trials
    planned.folder.create()
    source = DataSource(configuration, registry)
    device = torch.device("cpu")
    return configuration, 0, registry, source, planned.folder, device, lambda kind, values: None


def test_only_loading_and_metrics_may_take_long_without_a_sign(arguments, monkeypatch):
    """Otherwise `--trial-timeout` would not hold while test images are embedded."""
    stages, patience = [], []
    monkeypatch.setattr(heartbeat, "_listeners", [])

    def listen(stage, patient):
        if stage is not None:
            stages.append(stage)
            patience.append(patient)

    heartbeat.listen(listen)
    assert (
        train_trial(*arguments) is None and evaluate_trial(*arguments).trial.status == "completed"
    )
    # Of the process that embeds all, of the one that embeds one by one, and of this one.
    embeds = [("loading data", True), ("embedding the test images", False)]
    of_this = [("loading data", True), ("computing metrics", True)]
    assert list(zip(stages, patience, strict=True)) == [*embeds, *embeds, *of_this]


def test_a_reduction_is_fitted_once_while_test_images_are_out_of_reach(arguments, monkeypatch):
    out_of_reach = []
    fit = train_phase.fit_reduction

    def see(*given):
        out_of_reach.append(_Phase.active)
        fit(*given)

    monkeypatch.setattr(train_phase, "fit_reduction", see)
    assert (
        train_trial(*arguments) is None and evaluate_trial(*arguments).trial.status == "completed"
    )
    assert out_of_reach == [True]


def test_a_tuning_trial_fits_no_reduction(arguments, monkeypatch):
    monkeypatch.setattr(
        train_phase, "fit_reduction", lambda *given: pytest.fail("nobody embeds by it")
    )
    assert run_validation(*arguments).reason is None
