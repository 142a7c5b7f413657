"""What a node of a cluster does: as a local run does it, with files that travel."""

from __future__ import annotations

import dataclasses
import json

import pytest

from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.executors import node
from dmlbench.running.executors.carried import Changes, files_to_go_on_from, write_files
from dmlbench.running.executors.node import Orders
from dmlbench.running.executors.packages import difference, differences, packages_of
from dmlbench.running.jobs import Resources, configuration_message
from dmlbench.running.planning import make_plan
from dmlbench.training.trial_folder import TrialFolder


@pytest.fixture
def planned(tiny, tmp_path):
    """One trial's message, packages and folder, as a driver has them."""
    registry = load_plugins()
    names = ("dataset", "overrides")
    request = Request(
        losses=["triplet"], seeds=1, out=tmp_path / "out", **{name: tiny[name] for name in names}
    )
    plan = make_plan(request, registry)
    (trial,) = plan.trials
    message = {
        **configuration_message(trial.configuration, plan.out, Resources(device="cpu"), ()),
        **{"split": 0, "seed": 0, "code": trial.folder.code, "wait": False},
        **{"kind": "train", "fingerprint": None},
    }
    return message, tuple(packages_of(plan.configurations, registry)), trial.folder


def orders(packages, run="a"):
    return Orders(run, "node-1", packages, threads=1, time_limit=None, confine=False)


def test_a_node_trains_and_tests_and_sends_what_is_left(planned):
    message, packages, folder = planned
    told = list(node.run_trial(message, {}, orders(packages), None))
    assert told[0].kind == "began" and told[0].values == {"place": "node-1"}
    assert [one.kind for one in told].count("done") == 1 and told[-1].kind == "done"
    assert TrialResult.model_validate(told[-1].values["result"]).trial.status == "completed"
    assert set(told[-1].files) == {"embeddings.safetensors", "weights.safetensors"}
    checkpoints = [one.files["checkpoint.pt"] for one in told if "checkpoint.pt" in one.files]
    assert checkpoints
    log = b"".join(one.log for one in told).decode()
    assert [line[:7] for line in log.splitlines()] == ["epoch 1", "epoch 2"]
    assert not folder.path.exists() and not list(node.worker_folder().iterdir())

    again = list(node.run_trial(message, {"checkpoint.pt": checkpoints[0]}, orders(packages), None))
    started = next(one for one in again if one.values.get("kind") == "trial_started")
    assert started.values["values"]["epoch"] >= 1
    metrics = [one[-1].values["result"]["trial"]["metrics"] for one in (told, again)]
    assert metrics[0] == metrics[1]


def test_data_are_made_ready_once_for_a_run(planned, monkeypatch):
    message, packages, _ = planned
    kinds = []
    run = node._run
    monkeypatch.setattr(node, "_run", lambda m, o: (kinds.append(m["kind"]), run(m, o))[1])
    ready = {**message, "kind": "prepare"}
    assert node.make_ready(ready, orders(packages, "b")).kind == "done"
    list(node.run_trial(message, {}, orders(packages, "b"), None))
    assert kinds == ["prepare", "train", "test"]
    list(node.run_trial(message, {}, orders(packages, "c"), None))
    assert kinds[3:] == ["prepare", "train", "test"]


def test_other_code_and_other_data_on_a_node_train_nothing(planned):
    message, packages, _ = planned
    own, plugin = packages
    newer = dataclasses.replace(plugin, version="9.9")
    told = list(node.run_trial(message, {}, orders((own, newer)), None))
    assert [one.kind for one in told] == ["began", "error"]
    assert "the node node-1 has" in told[-1].values["message"]
    assert "and here is 9.9" in told[-1].values["message"]
    ready = node.make_ready({**message, "kind": "prepare"}, orders((own, newer)))
    assert ready.kind == "error" and ready.values["exit_code"] == 3
    told = list(node.run_trial({**message, "fingerprint": "0"}, {}, orders(packages), None))
    assert "other data" in told[-1].values["message"]


def test_packages_differ_by_release_and_by_source(planned):
    _, (own, plugin), _ = planned
    assert differences([own, plugin]) == []
    (target,) = plugin.sources
    other = dataclasses.replace(plugin, sources={target: "0" * 64})
    assert f"another source of {target}" in difference(plugin, other)
    assert "other files" in difference(own, dataclasses.replace(own, sources={}))
    missing = dataclasses.replace(plugin, version=None)
    assert difference(plugin, missing).startswith("does not have the package")


def test_only_files_of_a_trial_are_taken_and_only_new_ones_sent(tmp_path):
    folder = TrialFolder(tmp_path, "e" * 16, "c" * 64, seed=0)
    folder.create()
    write_files(folder, {"checkpoint.pt": b"1", "../escaped": b"2", "result.json": b"3"})
    assert [path.name for path in folder.path.iterdir()] == ["checkpoint.pt"]
    assert files_to_go_on_from(folder) == {"checkpoint.pt": b"1"}
    changes = Changes(folder)
    assert changes.checkpoints() == {"checkpoint.pt": b"1"} and changes.checkpoints() == {}
    write_files(folder, {"checkpoint.pt": b"4"})
    assert changes.checkpoints() == {"checkpoint.pt": b"4"}
    folder.log_file.write_text("one\n")
    assert changes.log() == b"one\n" and changes.log() == b""


def test_what_a_node_is_told_is_json_and_bytes(planned):
    message, _, _ = planned
    assert json.loads(json.dumps(message)) == message
