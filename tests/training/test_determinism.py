"""Deterministic operations on a GPU: chosen for a trial, recorded, and kept when reproduced."""

import pytest
import torch

from dmlbench.training.determinism import set_deterministic
from dmlbench.training.environment import describe_environment

CUDA = torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _as_before():
    filling = torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False
    torch.utils.deterministic.fill_uninitialized_memory = filling


@pytest.mark.parametrize("wanted", [True, False])
def test_the_choice_is_made_on_a_gpu_and_recorded(monkeypatch, wanted):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    set_deterministic(CUDA, wanted)
    assert torch.are_deterministic_algorithms_enabled() is wanted
    assert torch.is_deterministic_algorithms_warn_only_enabled() or not wanted
    assert torch.backends.cudnn.deterministic is wanted
    assert torch.utils.deterministic.fill_uninitialized_memory is False
    assert describe_environment(CUDA)["deterministic"] is wanted


def test_on_a_cpu_nothing_changes_and_nothing_is_said():
    set_deterministic(torch.device("cpu"), True)
    assert not torch.are_deterministic_algorithms_enabled()
    assert "deterministic" not in describe_environment(torch.device("cpu"))


def test_cublas_is_told_before_cuda_starts():
    from dmlbench.running.executors.launchers import worker_environment

    assert worker_environment(1)["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("deterministic", [True, False])
def test_a_trial_is_told(monkeypatch, tiny, tmp_path, deterministic):
    import dmlbench
    from dmlbench.running.executors.channel import RunEnd

    sent, send = [], RunEnd.send
    monkeypatch.setattr(RunEnd, "send", lambda end, job: sent.append(job) or send(end, job))
    dmlbench.run(["triplet"], None, **tiny, deterministic=deterministic, out=tmp_path)
    assert {message["deterministic"] for message in sent} == {deterministic}
