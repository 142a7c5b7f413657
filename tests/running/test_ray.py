"""Trials on a cluster of Ray: the numbers of a local run, whatever node they come from."""

from __future__ import annotations

import os

import pytest

import dmlbench
from dmlbench.errors import UsageError

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tiny, tmp_path, monkeypatch):
    """A cluster of three nodes on this machine, of which two train; it has the dataset."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    memory = 80 << 20
    head = {"num_cpus": 0, "object_store_memory": memory, "include_dashboard": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    try:
        for number in range(2):
            cache = {"DMLBENCH_CACHE": str(tmp_path / f"cache-{number}")}
            made.add_node(num_cpus=1, object_store_memory=memory, env_vars=cache)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_node_that_ends_takes_no_trial_with_it(cluster, tiny, tmp_path):
    places, ended = set(), []

    def watch(event):
        if "place" in event.values:
            places.add(event.values["place"])
        if event.kind == "epoch_finished" and not ended:
            ended.append(cluster.worker_nodes.copy().pop())
            cluster.remove_node(ended[0], allow_graceful=False)

    of_ray = {"executor": "ray", "address": cluster.address, "jobs": None, "watch": watch}
    found = dmlbench.run(["triplet"], None, **{**tiny, **of_ray}, out=tmp_path / "ray")
    local = dmlbench.run(["triplet"], None, **tiny, out=tmp_path / "local")
    assert [e.trials[0].metrics for e in found] == [e.trials[0].metrics for e in local]
    assert [len(e.trials) for e in found] == [2] and ended
    assert all("(" in place for place in places)
    with pytest.raises(UsageError, match="hands GPUs out itself"):
        of_ray["device"] = "cuda:0"
        dmlbench.run(["triplet"], None, **{**tiny, **of_ray, "seeds": 3}, out=tmp_path / "ray")


def test_a_node_has_room_for_as_many_trials_as_its_scarcest_resource_allows():
    pytest.importorskip("ray")
    from dmlbench.running.executors.ray_room import Share

    node = {"CPU": 8.0, "GPU": 2.0}
    on_gpus = Share("auto", threads=1, gpus=0.1).on(node)
    assert on_gpus.device == "cuda" and on_gpus.fits(node) == 8
    assert Share("cuda", threads=1, gpus=0.5).on(node).fits(node) == 4
    assert Share("cuda", threads=1).on(node).fits({"CPU": 8.0}) == 0
    assert Share("cpu", threads=3).on(node).fits(node) == 2
    assert Share("auto", threads=1).on({"CPU": 8.0}).device == "cpu"


def test_ray_is_named_where_it_is_not_installed(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'dmlbench\[ray\]'"):
        dmlbench.run(["triplet"], None, **{**tiny, "executor": "ray"}, out=tmp_path)


def test_options_of_a_cluster_go_with_it(tmp_path):
    for wrong in ({"address": "auto"}, {"gpus_per_trial": 0.5}, {"executor": "slurm"}):
        with pytest.raises(UsageError, match="executor"):
            dmlbench.run(["triplet"], None, out=tmp_path, **wrong)
    with pytest.raises(UsageError, match="at most 1"):
        dmlbench.run(["triplet"], None, out=tmp_path, executor="ray", gpus_per_trial=2)
    assert not os.listdir(tmp_path)
