"""`--refit`: the epoch is chosen on held-out classes, then all training classes are trained on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import dmlbench
from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.site.command import rerun_command
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.plan.protocol import Protocol, protocol_from_json
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.running.reproduce import plan_again, reproduce
from dmlbench.running.tuning_records import setting_of
from dmlbench.training import train_phase
from dmlbench.training.data_source import DataSource
from dmlbench.training.trained import read_trained
from dmlbench.training.trial import evaluate_trial, train_trial

REFIT = {"protocol.refit": True}


@pytest.fixture
def trial(tiny, tmp_path):
    """Call for the arguments of a trial that refits, with changed values of the recipe."""

    def make(out="out", emit=lambda kind, values: None, **changed):
        registry = load_plugins()
        overrides = {**tiny["overrides"], **REFIT, "recipe.validate_every": 1, **changed}
        request = Request(
            losses=["proxy-anchor"], dataset="tiny", overrides=overrides, out=tmp_path / out
        )
        plan = make_plan(request, registry)
        (configuration,), (planned, *_) = plan.configurations, plan.trials
        planned.folder.create()
        source = DataSource(configuration, registry)
        return configuration, 0, registry, source, planned.folder, torch.device("cpu"), emit

    return make


@pytest.fixture
def trainers(monkeypatch):
    """The trainings that were made, in order."""
    made = []

    class Seen(train_phase.Trainer):
        def __init__(self, *given, **more):
            super().__init__(*given, **more)
            made.append(self)

    monkeypatch.setattr(train_phase, "Trainer", Seen)
    return made


def validate_as(monkeypatch, values):
    """Have the validations of a training give these values."""
    left = iter(values)
    monkeypatch.setattr(train_phase, "validation_map_at_r", lambda *given: next(left))


def test_it_trains_again_on_all_training_classes_for_the_chosen_epochs(
    trial, trainers, monkeypatch
):
    validate_as(monkeypatch, [0.1, 0.3, 0.2])
    arguments = trial(**{"recipe.epochs": 3})
    assert train_trial(*arguments) is None
    first, again = trainers
    data = arguments[3].training()
    assert len(first.train_set.class_names) < len(data.train.class_names)
    assert again.train_set.class_names == data.train.class_names
    assert np.array_equal(again.train_set.labels, data.train.labels)
    everything = np.arange(len(data.train.labels))
    assert np.array_equal(again.train_set.images[everything], data.train.images[everything])
    assert (again.validate, again.epochs, again.progress.epoch) == (None, 2, 2)
    # It starts where the first one started, not where that ended.
    assert again.parts.losses[0].proxies.shape[0] == len(data.train.class_names)
    result = evaluate_trial(*arguments).trial
    assert (result.best_epoch, result.validation_map_at_r) == (2, 0.3)
    assert [record.epoch for record in result.history] == [1, 2, 3]
    assert [record.epoch for record in result.refit_history] == [1, 2]
    assert result.refit_history[0].objective != result.history[0].objective
    cost = result.cost
    assert cost.refit_seconds == again.progress.train_seconds
    assert cost.train_seconds == first.progress.train_seconds + cost.refit_seconds
    # What is tested is the last state of the second training.
    state = again.parts.model.state_dict()
    assert all(torch.equal(v, state[k]) for k, v in again.progress.best_state["model"].items())


def test_the_schedule_is_cut_and_not_shortened(trial, trainers, monkeypatch):
    validate_as(monkeypatch, [0.1, 0.3, 0.2, 0.2])
    train_trial(
        *trial(
            **{
                "recipe.epochs": 4,
                "recipe.schedule.name": "cosine",
                "recipe.schedule.warmup_epochs": 0.0,
            }
        )
    )
    first, again = ([r["learning_rate"] for r in t.progress.history] for t in trainers)
    # Half of the cosine is left; shortened to two epochs, it would be near its end.
    assert again[1] > 0.4 * trainers[0].base_lrs[0] > first[3]
    assert again == pytest.approx(first[:2], rel=0.1)


def test_a_rate_that_followed_the_validation_follows_it_again(trial, trainers, monkeypatch):
    validate_as(monkeypatch, [0.5, 0.1, 0.6])
    plateau = {"recipe.schedule.name": "plateau", "recipe.schedule.patience": 1}
    train_trial(*trial(**plateau, **{"recipe.epochs": 3, "recipe.schedule.warmup_epochs": 0.0}))
    first, again = ([r["learning_rate"] for r in t.progress.history] for t in trainers)
    assert len(again) == 3 and again == first
    assert again[2] == pytest.approx(0.1 * again[1])


@pytest.mark.parametrize("stopped", ["epoch_finished", "refit_epoch_finished"])
def test_interrupted_in_either_training_it_resumes_and_gives_the_same(trial, stopped):
    whole = trial("whole")
    assert train_trial(*whole) is None
    seen = []

    def stop(kind, values):
        if kind == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_trial(*trial("out", stop))
    again = trial("out", lambda kind, values: seen.append((kind, values.get("epoch"))))
    assert train_trial(*again) is None
    first_done = 2 if stopped.startswith("refit") else 1
    assert seen[0] == ("trial_started", first_done)
    assert ("refit_started", int(stopped.startswith("refit"))) in seen
    one, other = (read_trained(given[4].trained_file) for given in (whole, again))
    assert one.course == other.course
    for module, state in one.state.items():
        assert all(torch.equal(value, other.state[module][k]) for k, value in state.items())
    evaluate_trial(*again)
    folder = again[4]
    left = {path.name for path in folder.path.iterdir()}
    assert left == {"result.json", "embeddings.safetensors", folder.weights_file.name}


def test_an_entry_says_so_ranks_apart_and_is_reproduced(tiny, tmp_path, monkeypatch):
    def run(out, **more):
        overrides = {**tiny["overrides"], **more}
        request = {**tiny, "overrides": overrides, "seeds": 1}
        (entry,) = dmlbench.run(["proxy-anchor"], out=tmp_path / out, **request)
        return entry

    refit, plain = run("refit", **REFIT), run("plain")
    assert group_key(refit) != group_key(plain) and refit.entry_id != plain.entry_id
    assert refit.trials[0].history[0].objective == plain.trials[0].history[0].objective
    assert refit.trials[0].validation_map_at_r == plain.trials[0].validation_map_at_r
    assert check_entry(refit) == check_entry(plain) == []
    assert "--refit" in rerun_command(refit).lines and "--refit" not in rerun_command(plain).lines
    frame = dmlbench.read_leaderboard(tmp_path / "refit" / "zsl-v2" / "tiny")
    assert list(frame["protocol"]) == ["zsl-v2 (refit)"]

    registry = load_plugins()
    plan = plan_again(refit, None, tmp_path / "again", registry)
    found = reproduce(refit, plan, registry, who="somebody else")
    assert found.agreement.verdict == "equal"

    for change, words in (
        ({"refit_history": None}, "records no second training"),
        ({"refit_history": refit.model_dump()["trials"][0]["refit_history"] * 2}, "does not run"),
    ):
        data = refit.model_dump()
        data["trials"][0] |= change
        (failure,) = check_entry(Entry.model_validate(data))
        assert failure.check == "history" and words in failure.message
    data = plain.model_dump()
    data["trials"][0]["refit_history"] = data["trials"][0]["history"]
    (failure,) = check_entry(Entry.model_validate(data))
    assert "records a second training" in failure.message


def test_the_rule_is_part_of_the_protocol_and_its_absence_changes_nothing(tiny, tmp_path):
    rule = "checkpoint with the best MAP@R on held-out training classes"
    assert Protocol().to_json()["selection"] == rule and "refit" not in Protocol().identity()
    refit = Protocol(refit=True)
    assert refit.sha256 != Protocol().sha256
    assert protocol_from_json(refit.to_json()) == refit
    old = {**Protocol(name="zsl-v1").to_json(), "refit": True}
    assert protocol_from_json(old).to_json() != old, "zsl-v1 knew no such rule"
    with pytest.raises(UsageError, match="protocol.refit must be of type bool"):
        make_plan(Request(overrides={"protocol.refit": "yes"}, out=tmp_path), load_plugins())


def test_values_are_tuned_once_for_both_rules(tiny, tmp_path):
    registry = load_plugins()
    request = Request(losses=["ms"], dataset="tiny", overrides=tiny["overrides"], out=tmp_path)
    (plain,) = make_plan(request, registry).configurations
    protocol = dataclasses.replace(plain.protocol, refit=True)
    refit = dataclasses.replace(plain, protocol=protocol)
    assert setting_of(refit, registry).sha256 == setting_of(plain, registry).sha256


def test_two_options_that_differ_are_refused(tiny):
    from click.testing import CliRunner

    from dmlbench.cli import cli

    line = ["plan", "--refit", "--set", "protocol.refit=false"]
    found = CliRunner().invoke(cli, line)
    assert found.exit_code and "--refit" in str(found.exception or found.output)
