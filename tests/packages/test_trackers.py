"""dmlbench-trackers: each tracker's own reader finds what the events said."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

import pytest

import dmlbench
from dmlbench.hookspecs import TrialEvent
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.dispatch import EventDispatcher
from dmlbench.running.planning import make_plan

PLUGIN = Path(__file__).parents[2] / "plugins" / "dmlbench-trackers"
ENTRY = "0123456789abcdef"


@pytest.fixture
def tracking(install_package, tmp_path, monkeypatch):
    """Installs the plugin, names a tracker, and gives its module; nothing is open."""
    install_package(PLUGIN)
    module = importlib.import_module("dmlbench_trackers.plugin")
    module._open.clear()
    module._broken.clear()
    monkeypatch.chdir(tmp_path)

    def name(tracker, **environment):
        monkeypatch.setenv("DMLBENCH_TRACKERS", tracker)
        for key, value in environment.items():
            monkeypatch.setenv(key, value)
        return module

    yield name
    module._open.clear()
    module._broken.clear()


def event(kind, seed=0, **values):
    return TrialEvent(
        kind=kind, entry_id=ENTRY, configuration="wedl(triplet + ms)", seed=seed, values=values
    )


def epoch(number, seed=0, validation=None):
    return event(
        "epoch_finished", seed, epoch=number, objective=1 / number, losses=[0.5, 0.25 / number],
        weights=[0.4, 0.6], validation_map_at_r=validation, learning_rate=0.001,
    )  # fmt: skip


METRICS = {"recall_at": {"1": 0.75, "2": 0.875}, "map_at_r": 0.5, "nmi": None, "num_queries": 8}


def story(take, seed=0, first=1):
    """A trial from its start, or from a checkpoint, to its end."""
    take(event("trial_started", seed, epoch=first - 1, epochs=3))
    for number in range(first, 4):
        take(epoch(number, seed, validation=0.1 * number if number > 1 else None))
    take(event("trial_finished", seed, metrics=METRICS, seconds=2.0))


def test_nothing_is_tracked_unless_it_is_asked_for(tracking, tmp_path):
    before = set(tmp_path.rglob("*"))
    module = tracking("")
    story(module.dmlbench_trial_event)
    assert set(tmp_path.rglob("*")) == before and not module._open


def test_an_unknown_tracker_is_named(tracking):
    with pytest.raises(ValueError, match="tensorbord.*tensorboard, mlflow, wandb"):
        tracking("tensorbord").dmlbench_trial_event(epoch(1))


def test_a_tracker_that_is_not_installed_says_what_to_install_once(tracking, monkeypatch):
    module = tracking("mlflow")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    monkeypatch.delitem(sys.modules, "dmlbench_trackers.mlflow", raising=False)
    with pytest.raises(RuntimeError, match=r"dmlbench-trackers\[mlflow\]"):
        module.dmlbench_trial_event(epoch(1))
    module.dmlbench_trial_event(epoch(2))


def test_a_run_names_it_when_it_fails_and_goes_on(tracking, tmp_path, tiny):
    tracking("tensorbord")
    registry = load_plugins()
    assert [one.distribution for one in registry.listeners] == ["dmlbench-trackers"]
    dispatcher = EventDispatcher(registry, None)
    (trial,) = make_plan(
        Request(losses=["triplet"], seeds=1, dataset="tiny", out=tmp_path), registry
    ).trials
    for _ in range(2):
        dispatcher.emit(trial, "trial_failed", {"reason": "NaN"})
    (warning,) = dispatcher.warnings
    assert "dmlbench-trackers" in warning and "'tensorbord'" in warning


def test_tensorboard(tracking, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    module = tracking("tensorboard", DMLBENCH_TENSORBOARD_DIR=str(tmp_path / "tb"))
    for seed in (0, 1):
        story(module.dmlbench_trial_event, seed)
    for seed in (0, 1):
        found = reading.EventAccumulator(str(tmp_path / "tb" / ENTRY / f"seed{seed}")).Reload()
        course = [(s.step, s.value) for s in found.Scalars("train/objective")]
        assert course == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
        assert [s.step for s in found.Scalars("validation/map_at_r")] == [2, 3]
        assert found.Scalars("train/loss_1")[2].value == pytest.approx(0.25 / 3)
        assert found.Scalars("train/weight_0")[0].value == pytest.approx(0.4)
        assert found.Scalars("test/recall_at_2")[0].value == 0.875
        assert "test/nmi" not in found.Tags()["scalars"]
        (text,) = found.Tensors("configuration/text_summary")[:1]
        assert b"wedl(triplet + ms)" in text.tensor_proto.string_val[0]


def test_tensorboard_goes_on_after_an_interruption(tracking, tmp_path):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    module = tracking("tensorboard", DMLBENCH_TENSORBOARD_DIR=str(tmp_path))
    module.dmlbench_trial_event(event("trial_started", epoch=0, epochs=3))
    for number in (1, 2):  # the second is lost with the run: the checkpoint is of the first
        module.dmlbench_trial_event(epoch(number))
    module._open.clear()
    story(module.dmlbench_trial_event, first=2)
    found = reading.EventAccumulator(str(tmp_path / ENTRY / "seed0")).Reload()
    assert [s.step for s in found.Scalars("train/objective")] == [1, 2, 3]


def test_mlflow(tracking, tmp_path):
    mlflow = pytest.importorskip("mlflow")
    store = (
        f"sqlite:///{tmp_path}/x.db"
        if importlib.util.find_spec("sqlalchemy")
        else str(tmp_path / "ml")
    )
    module = tracking("mlflow", MLFLOW_TRACKING_URI=store, MLFLOW_ALLOW_FILE_STORE="true")
    story(module.dmlbench_trial_event, 0)
    module.dmlbench_trial_event(event("trial_started", 1, epoch=0, epochs=3))
    module.dmlbench_trial_event(epoch(1, 1))
    module._open.clear()  # killed; the same command again
    module.dmlbench_trial_event(event("trial_started", 1, epoch=1, epochs=3))
    module.dmlbench_trial_event(event("trial_failed", 1, reason="NaN at step 3"))
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("dmlbench")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {f"wedl(triplet + ms) seed {seed}" for seed in (0, 1)}
    done, failed = (runs[f"wedl(triplet + ms) seed {seed}"] for seed in (0, 1))
    assert (done.info.status, failed.info.status) == ("FINISHED", "FAILED")
    assert done.data.params["entry_id"] == ENTRY
    assert done.data.metrics["test/recall_at_1"] == 0.75
    course = client.get_metric_history(done.info.run_id, "train/objective")
    assert [(m.step, m.value) for m in course][:2] == [(1, 1.0), (2, 0.5)]
    assert failed.data.tags["dmlbench.reason"] == "NaN at step 3"


def log_records(data, header=7, block=32768):
    """The records of a log in LevelDB's format, behind the header of Weights & Biases."""
    position, parts = header, []
    while position + 7 <= len(data):
        left = block - position % block
        if left < 7:
            position += left
            continue
        size, kind = int.from_bytes(data[position + 4 : position + 6], "little"), data[position + 6]
        parts.append(data[position + 7 : position + 7 + size])
        position += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield b"".join(parts)
            parts = []


def test_wandb_offline(tracking, tmp_path):
    pytest.importorskip("wandb")
    environment = {
        "WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path),
        "WANDB_DATA_DIR": str(tmp_path), "WANDB_CONFIG_DIR": str(tmp_path),
    }  # fmt: skip
    module = tracking("wandb", **environment)
    story(module.dmlbench_trial_event)
    from wandb.proto import wandb_internal_pb2

    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    # Its service writes beside the process, and may end a little later.
    for _ in range(100):
        if len(written := list(log_records(file.read_bytes()))) > 8:
            break
        time.sleep(0.1)
    history, summary, config = [], {}, {}
    for data in written:
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "history":
            items = record.history.item
            history.append({i.key or "/".join(i.nested_key): i.value_json for i in items})
        elif kind == "summary":
            summary |= {
                i.key or "/".join(i.nested_key): i.value_json for i in record.summary.update
            }
        elif kind == "run":
            config |= {i.key: i.value_json for i in record.run.config.update}
            assert record.run.display_name == "wedl(triplet + ms) seed 0"
    assert [float(h["train/objective"]) for h in history] == pytest.approx([1, 0.5, 1 / 3])
    assert float(summary["test/recall_at_2"]) == 0.875
    assert config["entry_id"] == f'"{ENTRY}"'


def test_a_real_run_is_tracked(tracking, tmp_path, tiny):
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    tracking("tensorboard")
    (entry,) = dmlbench.run(["triplet"], **tiny | {"seeds": 1}, out=tmp_path / "out")
    found = reading.EventAccumulator(f"runs/{entry.entry_id}/seed0").Reload()
    assert [s.step for s in found.Scalars("train/objective")] == [1, 2]
    (scalar,) = found.Scalars("test/map_at_r")
    assert scalar.value == pytest.approx(entry.trials[0].metrics.map_at_r)
    (text,) = found.Tensors("configuration/text_summary")
    assert b'"recipe.epochs": 2' in text.tensor_proto.string_val[0]
