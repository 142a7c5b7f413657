"""Several devices of a machine: a trial each, and a process sees its own alone."""

from __future__ import annotations

import os
from collections import Counter
from types import SimpleNamespace

import pytest

import dmlbench
from dmlbench.errors import UsageError
from dmlbench.running.executors import devices, local
from dmlbench.running.executors.channel import RunEnd
from dmlbench.running.executors.devices import found_device, found_devices, keep_only
from dmlbench.running.executors.local import LocalExecutor

BAD_JOB = {"kind": "train", "device": "auto", "configuration": {}, "without": []}


@pytest.mark.parametrize(
    ("text", "gpus", "expected"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0", "cuda:1"]),
        ("cuda", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cpu", 2, ["cpu"]),
        ("cpu, cpu", 0, ["cpu", "cpu"]),
    ],
)
def test_cuda_and_auto_name_every_visible_gpu(monkeypatch, text, gpus, expected):
    monkeypatch.setattr(devices, "visible_gpus", lambda: gpus)
    assert found_devices(text) == expected
    assert "," in text or found_device(text) == expected[0]


def test_devices_that_are_not_there_and_those_of_two_kinds_are_refused(monkeypatch):
    monkeypatch.setattr(devices, "visible_gpus", lambda: 0)
    for text in ("cuda", "cuda:0,cuda:2", "warp"):
        with pytest.raises(UsageError, match=f"--device {text.partition(',')[0]} cannot be used"):
            found_devices(text)
    with pytest.raises(UsageError, match="several kinds"):
        found_devices("cpu,cuda:0")
    with pytest.raises(UsageError, match="uses one"):
        found_device("cpu,cpu")


@pytest.mark.parametrize(
    ("visible", "device", "left"),
    [(None, "cuda:1", "1"), ("3,5", "cuda:1", "5"), ("GPU-a, GPU-b", "cuda:1", "GPU-b")],
)
def test_a_process_sees_its_own_gpu_and_no_other(monkeypatch, visible, device, left):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert keep_only(device) == "cuda:0"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == left


def test_the_processor_needs_no_pin(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    assert keep_only("cpu") == "cpu" and os.environ["CUDA_VISIBLE_DEVICES"] == "3"


@pytest.mark.parametrize(("jobs", "most"), [(None, 1), (4, 2), (1, 1)])
def test_devices_are_handed_out_a_trial_each_or_as_many_as_jobs_says(monkeypatch, jobs, most):
    sent, at_once = [], []
    send = RunEnd.send
    monkeypatch.setattr(RunEnd, "send", lambda end, m: (sent.append(m["device"]), send(end, m)))
    with LocalExecutor(1, 1) as executor:
        executor.make_room(["cuda:0", "cuda:1"], jobs, pending=9)
        places = []
        for event in executor.run((number, BAD_JOB) for number in range(6)):
            at_once.append(Counter(running.place for running in executor._running.values()))
            places.append(event.place)
    used = {"cuda:0"} if jobs == 1 else {"cuda:0", "cuda:1"}
    assert set(sent) == set(places) == used
    assert len(sent) == len(places) == 6
    assert max(max(counter.values()) for counter in at_once) == most


@pytest.mark.parametrize(("jobs", "devices", "most"), [(None, 1, 3), (2, 1, 2), (None, 2, 1)])
def test_a_gpu_takes_as_many_trials_as_pay_unless_jobs_or_device_say(
    monkeypatch, jobs, devices, most
):
    class Paying:
        level = 3

        def __init__(self, *given):
            pass

    monkeypatch.setattr(local, "Sharing", Paying)
    at_once = []
    with LocalExecutor(1, 1) as executor:
        executor.make_room(["cuda:0"] * devices, jobs, pending=9)
        for _ in executor.run((number, BAD_JOB) for number in range(6)):
            at_once.append(len(executor._running))
    assert max(at_once) == most * devices


def test_an_epoch_is_told_to_the_gpu_that_it_ran_on():
    told = []
    with LocalExecutor(1, 1) as executor:
        executor._sharing = {"cuda:0": SimpleNamespace(level=1, epoch_finished=told.append)}
        for place in ("cuda:0", "cuda:1"):
            running = local._Running(None, None, place)
            executor._watchdog.begin(place)
            for kind in ("trial_started", "epoch_finished", "refit_epoch_finished"):
                message = {"event": "progress", "kind": kind, "values": {}}
                list(executor._take(place, running, message))
    assert told == ["cuda:0", "cuda:0"]


def test_a_run_says_where_each_trial_is(tiny, tmp_path):
    events = []
    dmlbench.run(
        ["triplet"], None, **{**tiny, "device": "cpu,cpu"}, out=tmp_path, watch=events.append
    )
    started = [event for event in events if event.kind == "trial_started"]
    assert [event.values["place"] for event in started] == ["cpu", "cpu"]
