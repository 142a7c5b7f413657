"""Tuning: a budget of tries on validation classes, gone on with, and told in the entries."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.leaderboard.views.describe import configuration_rows
from dmlbench.plan.request import Request, ensemble_configurations, single_configurations
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.runner import Resources
from dmlbench.running.tune import tune
from dmlbench.running.tuning_records import setting_of

GUARDED = """
    from dmlbench.hookspecs import DatasetSpec, hookimpl

    @hookimpl
    def dmlbench_datasets():
        return [DatasetSpec(name="guarded", target="guarded_plugin:Guarded", summary="No peeking")]

    class Locked:
        def __init__(self, images):
            self.images, self.shape, self.dtype = images, images.shape, images.dtype
        def __len__(self):
            return len(self.images)
        def __getitem__(self, rows):
            if len(rows) > 1:  # one image tells that the array has the right form
                raise RuntimeError("the test images were looked at")
            return self.images[rows]

    class Guarded:
        gallery, report = None, ()

        def __init__(self, image_size=16):
            import dataclasses
            from dmlbench_tiny.tiles import Tiny
            tiny = Tiny(image_size=image_size)
            self.train = tiny.train
            self.test = dataclasses.replace(tiny.test, images=Locked(tiny.test.images))
"""


def request_of(tiny, out, **changes):
    values = {"dataset": tiny["dataset"], "overrides": tiny["overrides"], "out": out}
    return Request(**(values | changes))


def tune_losses(request, registry, budget=3, seeds=(1000,)):
    singles = single_configurations(request, registry)
    settings = [setting_of(configuration, registry) for configuration in singles]
    resources = Resources(jobs=2, device="cpu")
    return tune(settings, registry, resources, request.out, budget=budget, seeds=seeds)


def test_tuning_starts_at_the_defaults_and_never_sees_test_images(tiny, install, tmp_path):
    install("guarded", GUARDED)
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["triplet", "ms"], dataset="guarded")
    triplet, ms = tune_losses(request, registry)
    assert triplet.trials[0].params == {"margin": None} and len(triplet.trials) == 3
    assert all(trial.validation_map_at_r is not None for trial in triplet.trials + ms.trials)
    tried = [trial.params["margin"] for trial in triplet.trials[1:]]
    assert all(0.02 <= margin <= 0.6 for margin in tried) and len(set(tried)) == 2
    # A run does look, which shows that the guard works.
    run = {**tiny, "dataset": "guarded", "losses": ["triplet"], "combiners": [], "seeds": 1}
    (entry,) = dmlbench.run(**run, out=tmp_path)
    assert "test images were looked at" in entry.trials[0].reason


def test_an_interrupted_tuning_gives_the_tries_of_an_uninterrupted_one(tiny, tmp_path):
    registry = load_plugins()
    whole = tune_losses(request_of(tiny, tmp_path / "a", losses=["ms"]), registry, budget=4)
    for budget in (2, 4):
        parts = tune_losses(request_of(tiny, tmp_path / "b", losses=["ms"]), registry, budget)

    def tries(records):
        return [(t.params, t.validation_map_at_r) for r in records for t in r.trials]

    assert tries(parts) == tries(whole) and len(tries(whole)) == 4


def test_run_takes_what_was_found_and_the_entry_tells_how(tiny, tmp_path):
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["triplet", "ms"])
    records = tune_losses(request, registry)
    arguments = {**tiny, "losses": ["triplet", "ms"], "combiners": ["sum"], "out": tmp_path}
    entries = dmlbench.run(**arguments, tuned=True)
    for entry, record in zip(entries, records, strict=False):
        params = {name: entry.losses[0].params[name] for name in record.best.params}
        assert params == record.best.params and entry.tuning == [record]
    assert entries[2].tuning == records
    assert entries[2].losses == [entries[0].losses[0], entries[1].losses[0]]
    told = dict(configuration_rows(entries[0]))["tuned"]
    assert "triplet: 3 tries on validation classes (seeds 1000" in told
    text = (tmp_path / "zsl-v1" / "tiny" / f"{entries[0].entry_id}.json").read_text()
    assert json.loads(text)["tuning"][0]["budget"] == 3


def test_a_named_parameter_stays_and_an_untuned_loss_is_refused(tiny, tmp_path, monkeypatch):
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["triplet(margin=0.3)"], tuned=True)
    assert single_configurations(request, registry)[0].losses[0].params["margin"] == 0.3
    with pytest.raises(UsageError, match="dmlbench tune --losses nca"):
        single_configurations(dataclasses.replace(request, losses=["nca"]), registry)
    monkeypatch.setitem(vars(registry.resolve("losses", "n-pairs").spec), "search", {})
    with pytest.raises(UsageError, match="n-pairs has nothing to tune"):
        tune_losses(request_of(tiny, tmp_path, losses=["n-pairs"]), registry)


def test_two_settings_of_one_loss_are_told_apart(tiny, tmp_path, capsys):
    sets = [part for k, v in tiny["overrides"].items() for part in ("--set", f"{k}={v}")]
    with pytest.raises(SystemExit):
        main(
            [
                "tune",
                "--losses",
                "triplet,triplet(mining=semi-hard)",
                "--budget",
                "1",
                "--jobs",
                "1",
                "--dataset",
                tiny["dataset"],
                "--device",
                "cpu",
                "--out",
                str(tmp_path),
                *sets,
            ]
        )
    captured = capsys.readouterr()
    assert "triplet(mining=semi-hard) 1: margin=null -> " in captured.err
    assert re.search(r"^ *triplet +1 ", captured.out, re.MULTILINE)
    assert re.search(r"^ *triplet\(mining=semi-hard\) +1 ", captured.out, re.MULTILINE)


def test_a_combiner_is_tuned_over_its_losses(tiny, tmp_path):
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["triplet", "ms"], combiners=["wedl"])
    losses = tuple(c.losses[0] for c in single_configurations(request, registry))
    (configuration,) = ensemble_configurations(request, registry, losses)
    setting = setting_of(configuration, registry)
    assert list(setting.space) == ["diversity"]
    (record,) = tune([setting], registry, Resources(jobs=1, device="cpu"), tmp_path, budget=2)
    assert record.kind == "combiners" and record.best is not None
    tuned = dataclasses.replace(request, tuned=True)
    (chosen,) = ensemble_configurations(tuned, registry, losses)
    assert chosen.combiner.params["diversity"] == record.best.params["diversity"]


def test_a_try_that_fails_is_recorded_and_the_others_go_on(tiny, install, tmp_path):
    install(
        "cliff",
        """
        from dmlbench.hookspecs import LossSpec, hookimpl

        @hookimpl
        def dmlbench_losses():
            return [LossSpec(name="cliff", target="cliff_plugin:build", summary="NaN if wild",
                             defaults={"wild": 0}, search={"wild": [1, 2]})]

        def build(wild=0):
            from dmlbench.losses.triplet import TripletLoss
            class Cliff(TripletLoss):
                def forward(self, embeddings, labels):
                    value = super().forward(embeddings, labels)
                    return value * float("nan") if wild else value
            return Cliff()
    """,
    )
    (record,) = tune_losses(request_of(tiny, tmp_path, losses=["cliff"]), load_plugins(), budget=3)
    assert [trial.validation_map_at_r is None for trial in record.trials] == [False, True, True]
    assert "nan" in record.trials[1].reason and record.best is record.trials[0]


def test_nothing_is_tried_twice(tiny, tmp_path):
    """Three values, one of them the default: a budget of five ends after three tries."""
    request = request_of(tiny, tmp_path, losses=["histogram"])
    (record,) = tune_losses(request, load_plugins(), budget=5)
    assert sorted(trial.params["num_bins"] for trial in record.trials) == [51, 101, 201]
    assert record.budget == 5 and record.trials[0].params["num_bins"] == 101
    (again,) = tune_losses(request, load_plugins(), budget=5)
    assert again == record


def test_a_process_that_dies_costs_no_try(tiny, tmp_path):
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["breaks(how=kill)"])
    with pytest.raises(UsageError, match="breaks has nothing to tune"):
        tune_losses(request, registry)
    search = {"step": [1, 10_000]}
    single = single_configurations(request, registry)[0]
    dying = dataclasses.replace(setting_of(single, registry), space=search)
    lasting = setting_of(
        single_configurations(request_of(tiny, tmp_path, losses=["ms"]), registry)[0], registry
    )
    resources = Resources(jobs=2, device="cpu")
    with pytest.raises(TrialFailure, match="breaks: .*SIGKILL.*the same command goes on"):
        tune([dying, lasting], registry, resources, tmp_path, budget=2)
    assert dying.read(tmp_path) is None and len(lasting.read(tmp_path).trials) == 2


def test_a_try_is_trained_once_a_seed(tiny, tmp_path):
    request = request_of(tiny, tmp_path, losses=["ms"])
    (record,) = tune_losses(request, load_plugins(), budget=2, seeds=(7, 8))
    assert record.seeds == [7, 8] and len(record.trials) == 2
