"""Tuning: a budget of trials on validation classes, resumed, and recorded in the entries."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

import dmlbench
from dmlbench.cli import main
from dmlbench.errors import TrialFailure, UsageError
from dmlbench.leaderboard.entries.trial_result import ValidationResult
from dmlbench.leaderboard.views.describe import configuration_rows
from dmlbench.plan.config import configuration_from_json
from dmlbench.plan.request import Request, configurations_of, rows_of
from dmlbench.plan.search_space import values_of
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.jobs import Resources
from dmlbench.running.planning import tuned_in
from dmlbench.running.studies import Study
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


def settings_of(request, registry, combiners=()):
    rows = rows_of(dataclasses.replace(request, combiners=list(combiners)), registry)
    return [setting_of(row.configuration, registry, row.fixed) for row in rows]


def tune_losses(request, registry, budget=3, seeds=(1000,)):
    settings = settings_of(request, registry)
    resources = Resources(jobs=2, device="cpu")
    return tune(settings, registry, resources, request.out, budget=budget, seeds=seeds)


def test_tuning_starts_at_the_defaults_and_never_sees_test_images(tiny, install, tmp_path):
    install("guarded", GUARDED)
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["triplet", "ms"], dataset="guarded")
    triplet, ms = tune_losses(request, registry)
    rates = {"recipe.optimizer.backbone_lr": 8e-3, "recipe.optimizer.head_lr": 1e-3}
    mined = {"mining": "all", "mining_margin": None, "squared": False}
    loss = {f"losses[0].{name}": value for name, value in ({"margin": None} | mined).items()}
    assert triplet.trials[0].params == {**loss, **rates}
    assert len(triplet.trials) == 3
    assert all(trial.validation_map_at_r is not None for trial in triplet.trials + ms.trials)
    tried = [trial.params["losses[0].margin"] for trial in triplet.trials[1:]]
    assert all(0.02 <= margin <= 1.0 for margin in tried) and len(set(tried)) == 2
    # A run does look, which shows that the guard works.
    run = {**tiny, "dataset": "guarded", "losses": ["triplet"], "combiners": [], "seeds": 1}
    with pytest.raises(TrialFailure, match="test images were looked at"):
        dmlbench.run(**run, out=tmp_path)


def test_an_interrupted_tuning_gives_the_trials_of_an_uninterrupted_one(tiny, tmp_path):
    registry = load_plugins()
    whole = tune_losses(request_of(tiny, tmp_path / "a", losses=["ms"]), registry, budget=4)
    for budget in (2, 4):
        parts = tune_losses(request_of(tiny, tmp_path / "b", losses=["ms"]), registry, budget)

    def trials_of(records):
        return [(t.params, t.validation_map_at_r) for r in records for t in r.trials]

    assert trials_of(parts) == trials_of(whole) and len(trials_of(whole)) == 4


def test_values_without_an_effect_are_not_varied(tmp_path):
    registry = load_plugins()
    (row,) = rows_of(Request(losses=["triplet(margin=0.3,squared=false)"]), registry)
    (tmp_path / ".trials" / "tuning").mkdir(parents=True)
    study = Study(setting_of(row.configuration, registry, row.fixed), "0" * 64, 24, (1000,))
    for number in range(24):
        study.propose()
        result = ValidationResult(validation_map_at_r=number / 30, reason=None, train_seconds=1.0)
        assert study.take(1000, result)
        study.write(tmp_path)
    resumed = Study(study.setting, study.code, 24, (1000,))
    resumed.resume(tmp_path)
    assert resumed.trials == study.trials and len(study.trials) == 24
    margins = {"batch-hard": set(), "all": set(), "semi-hard": set()}
    for trial in study.trials:
        margins[trial.params["losses[0].mining"]].add(trial.params["losses[0].mining_margin"])
    assert margins["batch-hard"] == {None}
    assert len(margins["all"] | margins["semi-hard"]) > 2


def test_run_takes_what_was_found_and_the_entry_tells_how(tiny, tmp_path):
    """Each loss alone and the ensemble are rows of their own, tuned with one budget each."""
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["proxy-nca", "ms"], combiners=["wedl"])
    settings = settings_of(request, registry, ["wedl"])
    records = tune(settings, registry, Resources(jobs=2, device="cpu"), tmp_path, budget=2)
    assert [record.budget for record in records] == [2, 2, 2]
    arguments = {**tiny, "losses": ["proxy-nca", "ms"], "combiners": ["wedl"], "out": tmp_path}
    entries = dmlbench.run(**arguments, tuned=True)
    for entry, record in zip(entries, records, strict=True):
        chosen = configuration_from_json(entry.configuration_json())
        assert values_of(chosen, record.space) == record.best.params
        assert entry.tuning == [record] and record.kind == "row"
    told = dict(configuration_rows(entries[2]))["tuned"]
    assert "2 tuning trials on validation classes (seeds 1000" in told
    text = (tmp_path / "zsl-v2" / "tiny" / f"{entries[0].entry_id}.json").read_text()
    assert json.loads(text)["tuning"][0]["budget"] == 2


def test_a_given_value_stays_and_an_untuned_row_is_refused(tiny, tmp_path):
    registry = load_plugins()
    given = {**tiny["overrides"], "recipe.optimizer.head_lr": 0.01}
    request = request_of(tiny, tmp_path, losses=["triplet(margin=0.3)", "ms"], overrides=given)
    for setting in settings_of(request, registry, ["wedl"]):
        assert not {"recipe.optimizer.head_lr"} & set(setting.space)
        assert "losses[0].margin" not in setting.space or setting.fixed[:1] != ("losses[0].margin",)
    tuned = dataclasses.replace(request, tuned=True, combiners=["wedl"], singles=False)
    # With the parameters that were given: without them it would tune another setting.
    command = r"dmlbench tune --losses 'triplet\(margin=0.3\),multi-similarity' --combiner wedl,"
    with pytest.raises(UsageError, match=command):
        configurations_of(tuned, registry, tuned_in(tmp_path, registry))
    everything = {**given, "recipe.optimizer.backbone_lr": 0.01}
    nothing = request_of(tiny, tmp_path, losses=["supcon(temperature=0.2)"], overrides=everything)
    with pytest.raises(UsageError, match="supcon has nothing to tune"):
        tune_losses(nothing, registry)


def tuned_by_command(capsys, tiny, out, *options):
    """What `tune` with a budget of one says."""
    sets = [part for k, v in tiny["overrides"].items() for part in ("--set", f"{k}={v}")]
    common = ["--combiner", "none", "--budget", "1", "--jobs", "1", "--dataset", tiny["dataset"]]
    with pytest.raises(SystemExit):
        main(["tune", *common, "--device", "cpu", "--leaderboards", str(out), *sets, *options])
    return capsys.readouterr()


def test_tuning_says_as_much_as_it_is_asked_to(tiny, tmp_path, capsys):
    loud = tuned_by_command(capsys, tiny, tmp_path / "loud", "--losses", "ms", "-v")
    name = "multi-similarity 1"
    epochs = re.findall(rf"^{name}, seed 1000: epoch (\d)/2, objective ", loud.err, re.MULTILINE)
    assert epochs == ["1", "2"], loud.err
    assert re.search(rf"^{name}: alpha=", loud.err, re.MULTILINE)
    quiet = tuned_by_command(capsys, tiny, tmp_path / "quiet", "--losses", "ms", "-q")
    assert quiet.err == "" and quiet.out == loud.out


def test_two_settings_of_one_loss_are_told_apart(tiny, tmp_path, capsys):
    losses = "triplet,triplet(mining=semi-hard)"
    captured = tuned_by_command(capsys, tiny, tmp_path, "--losses", losses)
    assert (
        "triplet(mining=semi-hard) 1: margin=null, mining_margin=null, squared=false, "
        "backbone_lr=0.008, head_lr=0.001 -> " in captured.err
    )
    assert re.search(r"^ *triplet +1 ", captured.out, re.MULTILINE)
    assert re.search(r"^ *triplet\(mining=semi-hard\) +1 ", captured.out, re.MULTILINE)


def test_a_tuning_trial_that_fails_is_recorded_and_the_others_continue(tiny, install, tmp_path):
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
    """Three values, one of them the default: a budget of five ends after three tuning trials."""
    rates = {"recipe.optimizer.backbone_lr": 8e-3, "recipe.optimizer.head_lr": 1e-3}
    overrides = {**tiny["overrides"], **rates}
    request = request_of(tiny, tmp_path, losses=["histogram"], overrides=overrides)
    registry = load_plugins()
    (setting,) = settings_of(request, registry)
    setting = dataclasses.replace(setting, space={"losses[0].num_bins": [51, 101, 201]})
    resources = Resources(jobs=1, device="cpu")
    (record,) = tune([setting], registry, resources, tmp_path, budget=5)
    assert sorted(t.params["losses[0].num_bins"] for t in record.trials) == [51, 101, 201]
    assert record.budget == 5 and record.trials[0].params["losses[0].num_bins"] == 101
    (again,) = tune([setting], registry, resources, tmp_path, budget=5)
    assert again == record


def test_a_process_that_dies_costs_no_try(tiny, tmp_path):
    registry = load_plugins()
    request = request_of(tiny, tmp_path, losses=["breaks(how=kill)"])
    (single,) = settings_of(request, registry)
    dying = dataclasses.replace(single, space={"losses[0].step": [1, 10_000]})
    (lasting,) = settings_of(request_of(tiny, tmp_path, losses=["ms"]), registry)
    resources = Resources(jobs=2, device="cpu")
    with pytest.raises(TrialFailure, match="breaks: .*SIGKILL.*the same command resumes"):
        tune([dying, lasting], registry, resources, tmp_path, budget=2)
    assert dying.read(tmp_path) is None and len(lasting.read(tmp_path).trials) == 2


def test_a_tuning_trial_is_trained_once_per_seed(tiny, tmp_path):
    request = request_of(tiny, tmp_path, losses=["ms"])
    (record,) = tune_losses(request, load_plugins(), budget=2, seeds=(7, 8))
    assert record.seeds == [7, 8] and len(record.trials) == 2
