"""Whole runs on a tiny dataset: entries, resuming, failing trials, third-party losses."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

import dmlbench
from dmlbench.errors import DmlbenchError, TrialFailure, UsageError
from dmlbench.leaderboard.entries.entry import parse_entry
from dmlbench.leaderboard.entries.tuning import TuningRecord


def without_times(entry) -> dict:
    """What must be equal between two runs: everything but times, memory and environment."""
    values = entry.model_dump()
    for trial in values["trials"]:
        del trial["cost"], trial["environment"], trial["finished_at"]
    return values


def entry_files(out: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(out.glob("zsl-v2/*/*.json"))}


def test_every_loss_and_their_combination_is_an_entry(tiny, tmp_path):
    out = tmp_path / "out"
    entries = dmlbench.run(["triplet", "ms"], ["learned"], out=out, **tiny)
    assert [entry.label for entry in entries] == [
        "triplet",
        "multi-similarity",
        "wedl(triplet + multi-similarity)",
    ]
    files = entry_files(out)
    assert sorted(files) == sorted(f"{entry.entry_id}.json" for entry in entries)
    for entry in entries:
        assert parse_entry(files[f"{entry.entry_id}.json"], "file") == entry
        assert [trial.seed for trial in entry.trials] == [0, 1]
        assert entry.embedding_dim == 8
        for trial in entry.trials:
            assert len(trial.history) == 2 and trial.metrics.num_queries == 96
            assert trial.cost.process_seconds > 0 and trial.cost.device_seconds is None
            assert (out / trial.embeddings.path).stat().st_size == trial.embeddings.num_bytes
    assert entries[2].head_dims == [4, 4] and entries[0].date == entries[0].trials[1].finished_at
    # A head of 8 with its bias; of the ensemble two of 4, and a weight for each loss.
    assert entries[0].head_parameters == 8 * (entries[0].backbone.num_features + 1)
    assert entries[2].head_parameters == entries[0].head_parameters + 2
    assert entries[2].trials[0].history[0].weights == pytest.approx([0.5, 0.5], abs=0.05)
    frame = dmlbench.read_leaderboard(out / "zsl-v2" / "tiny")
    assert len(frame) == 3 and set(frame["seeds"]) == {2}


def test_the_same_run_twice_gives_the_same_entries(tiny, tmp_path):
    one = dmlbench.run(["ms"], out=tmp_path / "one", **tiny)
    # Another number of processes must not change a number either.
    other = dmlbench.run(["ms"], out=tmp_path / "other", **{**tiny, "jobs": 1})
    assert [without_times(e) for e in one] == [without_times(e) for e in other]


def test_without_clustering_the_row_is_the_same_but_for_nmi_and_ami(tiny, tmp_path):
    tiny["overrides"]["recipe.epochs"] = 1
    (whole,) = dmlbench.run(["ms"], out=tmp_path / "whole", **{**tiny, "seeds": 1})
    (bare,) = dmlbench.run(["ms"], out=tmp_path / "bare", clustering=False, **{**tiny, "seeds": 1})
    expected = without_times(whole)
    metrics = expected["trials"][0]["metrics"]
    assert metrics["nmi"] is not None and metrics["ami"] is not None
    metrics["nmi"] = metrics["ami"] = None
    assert without_times(bare) == expected


def test_a_finished_run_is_not_repeated_and_seeds_are_added(tiny, tmp_path):
    seen = []
    watch = {"watch": lambda event: seen.append((event.kind, event.seed))}
    (first,) = dmlbench.run(["ms"], out=tmp_path, **tiny, **watch)
    assert seen.count(("trial_finished", 0)) == 1
    seen.clear()
    (again,) = dmlbench.run(["ms"], out=tmp_path, **tiny, **watch)
    assert again == first and seen == []
    (more,) = dmlbench.run(["ms"], out=tmp_path, **{**tiny, "seeds": [2]}, **watch)
    assert {seed for _, seed in seen} == {2}
    assert more.trials[:2] == first.trials and more.trials[2].seed == 2


def test_an_entry_of_the_same_code_is_gone_on_with_and_one_of_other_code_is_set_aside(
    tiny, tmp_path
):
    tiny["overrides"]["recipe.epochs"] = 1
    (first,) = dmlbench.run(["ms"], out=tmp_path, **{**tiny, "seeds": 1})
    (file,) = tmp_path.glob("zsl-v2/tiny/*.json")
    # As if the entry came from elsewhere: its trials count, without their folders.
    shutil.rmtree(tmp_path / ".trials")
    seen = []
    watch = {"watch": lambda event: seen.append(event.seed)}
    (second,) = dmlbench.run(["ms"], out=tmp_path, **tiny, **watch)
    assert set(seen) == {1} and second.trials[0] == first.trials[0]
    # The same entry, made by other code: nothing of it may be mixed in, nor lost.
    other = json.loads(file.read_text()) | {"results_version": 999}
    file.write_text(json.dumps(other))
    shutil.rmtree(tmp_path / ".trials")
    seen.clear()
    dmlbench.run(["ms"], out=tmp_path, **tiny, **watch)
    assert set(seen) == {0, 1}
    (aside,) = tmp_path.glob(".trials/*/superseded-*.json")
    assert json.loads(aside.read_text()) == other


def test_a_run_with_nothing_to_do_leaves_the_entry_as_it_is(tiny, tmp_path, monkeypatch):
    """Other content would void every attestation of it."""
    tiny["overrides"]["recipe.epochs"] = 1
    tiny |= {"out": tmp_path, "seeds": 1}
    (first,) = dmlbench.run(["ms"], submitter="Ada", **tiny)
    before = entry_files(tmp_path)
    monkeypatch.setattr("dmlbench.running.assemble.commit", lambda: "another")
    record = TuningRecord.model_validate(
        {
            "kind": "losses", "distribution": "dmlbench", "name": "multi-similarity",
            "setting_sha256": "0" * 64, "code_sha256": "0" * 64, "budget": 1, "seeds": [1000],
            "space": {}, "sampler": "none", "trials": [],
        }
    )  # fmt: skip
    monkeypatch.setattr("dmlbench.running.entries.tuning_of", lambda *_: [record])
    (again,) = dmlbench.run(["ms"], **tiny)
    assert again == first and entry_files(tmp_path) == before
    # One that is named anew is meant; nothing else changes with it.
    (signed,) = dmlbench.run(["ms"], submitter="Eve", paper="https://eve.org", **tiny)
    assert signed == first.model_copy(update={"submitter": "Eve", "paper": "https://eve.org"})
    # With another trial it is another entry, of the same submitter.
    (more,) = dmlbench.run(["ms"], **{**tiny, "seeds": 2})
    assert more.paper == "https://eve.org"
    assert (more.submitter, more.dmlbench_commit, more.tuning) == ("Eve", "another", [record])
    monkeypatch.setattr("dmlbench.running.entries.tuning_of", lambda *_: [])
    (most,) = dmlbench.run(["ms"], **{**tiny, "seeds": 3})
    assert len(most.trials) == 3 and most.tuning == [record]


def test_trials_that_make_no_entry_do_not_stop_the_others(tiny, tmp_path):
    tiny["overrides"]["recipe.epochs"] = 1
    tiny |= {"out": tmp_path, "jobs": 1}
    dmlbench.run(["ms", "triplet"], [], **{**tiny, "seeds": 1})
    (file,) = (f for f in tmp_path.glob("zsl-v2/*/*.json") if '"multi-sim' in f.read_text())
    (result,) = tmp_path.glob(f".trials/{file.stem}/*/seed-0/result.json")
    changed = json.loads(result.read_text())
    changed["metadata"]["dataset"]["fingerprint"] = "0" * 64
    result.write_text(json.dumps(changed))
    finished = []
    watch = {"watch": lambda event: finished.append((event.kind, event.configuration))}
    with pytest.raises(
        DmlbenchError, match="No entry: multi-sim.*seed 0 and seed 1 differ in dataset"
    ):
        dmlbench.run(["ms", "triplet"], [], **{**tiny, "seeds": 3}, **watch)
    assert finished.count(("trial_finished", "multi-similarity")) == 2
    entries = [json.loads(text) for text in entry_files(tmp_path).values()]
    assert {e["losses"][0]["name"]: len(e["trials"]) for e in entries} == {
        "multi-similarity": 1,
        "triplet": 3,
    }


@pytest.mark.parametrize("how", ["nan", "raise", "kill"])
def test_a_failing_trial_does_not_stop_the_others(tiny, tmp_path, how):
    events = []
    losses = [f"breaks(how={how})", "ms"]
    tiny |= {"out": tmp_path, "watch": events.append, "seeds": 1}
    if how != "kill":
        broken, good = dmlbench.run(losses, [], **tiny)
        (trial,) = broken.trials
        step, reason = {"nan": (3, "breaks is nan at step 3"), "raise": (None, "out of luck")}[how]
        assert (trial.status, trial.failed_step) == ("failed", step)
        assert reason in trial.reason
        assert good.trials[0].status == "completed"
    else:
        # Not a result of the configuration, so not recorded as one: it is tried again next time.
        with pytest.raises(TrialFailure, match=r"breaks\(how=kill\), seed 0: .*SIGKILL"):
            dmlbench.run(losses, [], **tiny)
        (file,) = entry_files(tmp_path).values()
        assert json.loads(file)["losses"][0]["name"] == "multi-similarity"
    failed = [event for event in events if event.kind == "trial_failed"]
    assert [event.configuration for event in failed] == [losses[0].replace("(how=nan)", "")]


def test_a_failed_trial_is_tried_again_only_when_asked(tiny, tmp_path):
    events = []
    tiny |= {"out": tmp_path, "watch": events.append, "seeds": 1}
    dmlbench.run(["breaks"], [], **tiny)
    events.clear()
    dmlbench.run(["breaks"], [], **tiny)
    assert events == []
    dmlbench.run(["breaks"], [], retry_failed=True, **tiny)
    assert events


def test_killed_at_any_moment_it_goes_on_and_gives_the_same_numbers(tiny, tmp_path, fork_program):
    tiny["overrides"] |= {"recipe.epochs": 12}
    tiny |= {"seeds": 1, "jobs": 1}
    (whole,) = dmlbench.run(["ms", "proxy-anchor"], singles=False, out=tmp_path / "whole", **tiny)
    out = tmp_path / "killed"
    for epoch in (1, 3):
        # The run is killed; its worker trains on until it notices.
        program = fork_program(f"""
import os, signal
import dmlbench

def watch(event):
    if event.kind == "epoch_finished" and event.values["epoch"] >= {epoch}:
        os.kill(os.getpid(), signal.SIGKILL)

dmlbench.run(
    ["ms", "proxy-anchor"], singles=False, out={str(out)!r}, watch=watch, **{tiny!r}
)
""")
        program.join(300)
        assert program.exitcode == -signal.SIGKILL, (tmp_path / "program.log").read_text()
        _wait_until_unlocked(out)
    started = []
    (resumed,) = dmlbench.run(
        ["ms", "proxy-anchor"],
        singles=False,
        out=out,
        watch=lambda event: started.append(event.values.get("epoch")),
        **tiny,
    )
    assert started[0] >= 3, "it began anew"
    assert without_times(resumed) == without_times(whole)


def test_a_checkpoint_of_other_data_is_not_gone_on_with(tiny, tmp_path):
    import torch

    from dmlbench.plan.request import Request
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.planning import make_plan
    from dmlbench.training.data_source import DataSource
    from dmlbench.training.trial import evaluate_trial, train_trial

    registry = load_plugins()
    request = Request(losses=["ms"], dataset="tiny", overrides=tiny["overrides"], out=tmp_path)
    plan = make_plan(request, registry)
    (configuration,), (trial, *_) = plan.configurations, plan.trials
    source = DataSource(configuration, registry)

    def emit(kind, values):
        seen.append((kind, values.get("epoch")))
        if kind == "epoch_finished" and stopping:
            raise KeyboardInterrupt

    arguments = (configuration, 0, registry)
    trial.folder.create()
    seen, stopping = [], True
    with pytest.raises(KeyboardInterrupt):
        train_trial(*arguments, source, trial.folder, torch.device("cpu"), emit)
    assert trial.folder.checkpoint_file.exists()
    changed = DataSource(configuration, registry)
    changed.training().metadata["fingerprint"] = "0" * 64
    seen, stopping = [], False
    there = changed, trial.folder, torch.device("cpu"), emit
    assert train_trial(*arguments, *there) is None
    assert seen[0] == ("trial_started", 0), "it went on with weights trained on other images"
    with pytest.raises(DmlbenchError, match="data changed between training and test"):
        evaluate_trial(*arguments, source, *there[1:])
    result = evaluate_trial(*arguments, *there)
    assert len(result.trial.history) == 2


def test_weights_that_the_last_step_of_an_epoch_broke_fail_the_trial(tiny, tmp_path):
    import torch

    from dmlbench.plan.request import Request
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.planning import make_plan
    from dmlbench.training.build import build
    from dmlbench.training.data_source import DataSource
    from dmlbench.training.train import validation_map_at_r

    registry = load_plugins()
    request = Request(losses=["ms"], dataset="tiny", overrides=tiny["overrides"], out=tmp_path)
    (configuration,) = make_plan(request, registry).configurations
    data = DataSource(configuration, registry).training()
    parts = build(configuration, registry, data, torch.device("cpu"), seed=0).parts
    with torch.no_grad():
        parts.model.heads[0].weight.fill_(float("nan"))
    with pytest.raises(TrialFailure, match="validation embeddings are not finite"):
        validation_map_at_r(
            parts,
            configuration.recipe,
            data.train,
            np.random.default_rng(0),
            configuration.protocol,
        )


def _wait_until_unlocked(out: Path) -> None:
    import fcntl

    (lock,) = out.glob(".trials/*/*/*/lock")
    for _ in range(3000):
        with open(lock) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                time.sleep(0.02)
    raise AssertionError("the worker outlived its parent")


def test_bad_parameters_are_refused_before_any_training(tiny, tmp_path):
    for losses, message in (
        (["triplet(mining=foo)"], "triplet.*mining.*foo"),
        (["tripplet"], "Did you mean triplet"),
        (["triplet(margn=1)"], "no parameter 'margn'"),
        (["triplet", "triplet"], r"named twice.*--losses 2\*triplet"),
        ([], "at least one loss"),
    ):
        with pytest.raises(UsageError, match=message):
            dmlbench.run(["ms", *losses] if losses else [], out=tmp_path, **tiny)
    with pytest.raises(UsageError, match="--set recipe.batch.classes=10"):
        tiny["overrides"]["recipe.batch.classes"] = 100
        dmlbench.run(["ms"], out=tmp_path, **tiny)
    assert not list(tmp_path.glob("zsl-v2/*/*.json"))


def test_an_unknown_timm_model_and_weights_that_cannot_be_fetched(tiny, tmp_path):
    with pytest.raises(UsageError, match="no backbone named 'resnet5'.*Did you mean resnet"):
        dmlbench.run(["ms"], out=tmp_path, backbone="resnet5", **tiny)
    with pytest.raises(UsageError, match="pretrained weights of the backbone.*--no-pretrained"):
        dmlbench.run(["ms"], out=tmp_path, backbone="test_resnet", pretrained=True, **tiny)


def test_a_timm_backbone_trains_from_scratch(tiny, tmp_path):
    tiny |= {"seeds": 1, "backbone": "test_resnet", "pretrained": False}
    tiny["overrides"] |= {
        "recipe.epochs": 1,
        "recipe.precision": "bfloat16",
        "recipe.freeze_batch_norm": True,
    }
    (entry,) = dmlbench.run(["ms"], out=tmp_path, **tiny)
    params = {"model": "test_resnet", "pretrained": False, "weights": None, "pooling": None}
    assert entry.backbone.params == params
    assert entry.backbone.weights_sha256 is None and entry.trials[0].status == "completed"


def test_the_papers_width_is_wider_and_a_single_loss_is_the_same_row(tiny, tmp_path):
    tiny["overrides"] |= {"protocol.dim_budget": "per-loss", "recipe.epochs": 1}
    tiny["seeds"] = 1
    single, other, wide = dmlbench.run(["ms", "contrastive"], ["wedl"], out=tmp_path, **tiny)
    assert wide.head_dims == [8, 8] and wide.embedding_dim == 16
    assert (
        wide.protocol.rules["dim_budget"] == "per-loss"
        and single.protocol.rules["dim_budget"] == "total"
    )


def test_a_third_party_loss_trains_and_stands_in_the_table(tiny, tmp_path, monkeypatch):
    """The template package, installed as a distribution of its own."""
    template = Path(__file__).parents[2] / "plugins" / "template"
    site = tmp_path / "site"
    info = site / "dmlbench_template-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dmlbench-template\nVersion: 0.1.0\n"
    )
    (info / "entry_points.txt").write_text("[dmlbench]\ntemplate = dmlbench_template.plugin\n")
    (site / "dmlbench_template").symlink_to(template / "dmlbench_template")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ['PYTHONPATH']}")
    (entry,) = dmlbench.run(["alignment-uniformity"], out=tmp_path, **tiny)
    (loss,) = entry.losses
    assert (loss.distribution, loss.version) == ("dmlbench-template", "0.1.0")
    assert entry.trials[0].history[-1].losses[0] < entry.trials[0].history[0].losses[0]
    frame = dmlbench.read_leaderboard(tmp_path / "zsl-v2" / "tiny")
    assert "dmlbench-template 0.1.0" in frame["losses"][0]


def test_a_listener_hears_of_trials_and_cannot_break_them(tiny, install, tmp_path):
    log = tmp_path / "log.txt"
    install(
        "tracker",
        f"""
        from dmlbench.hookspecs import hookimpl

        @hookimpl
        def dmlbench_trial_event(event):
            with open({str(log)!r}, "a") as file:
                file.write(event.kind + "\\n")
            raise RuntimeError("the tracker is down")
        """,
    )
    tiny |= {"seeds": 1}
    (entry,) = dmlbench.run(["ms"], out=tmp_path, **tiny)
    assert entry.trials[0].status == "completed"
    assert log.read_text().split() == [
        "trial_started",
        "epoch_finished",
        "epoch_finished",
        "trial_finished",
    ]
