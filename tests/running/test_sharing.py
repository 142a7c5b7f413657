"""Several trials on one GPU: as many as pay and fit, on a GPU that is made up."""

import subprocess

import pytest

from dmlbench.running.executors import sharing
from dmlbench.running.executors.sharing import Sharing, gpu_memory

GIB = 1 << 30


class Gpu:
    """A GPU on which one trial finishes `alone` epochs in a second, and all together `at_most`."""

    def __init__(self, alone, at_most, per_trial=GIB, total=100 * GIB):
        self.alone, self.at_most, self.per_trial, self.total = alone, at_most, per_trial, total
        self.now, self.largest = 0.0, 0

    def run(self, most, epochs=200):
        found = Sharing(most, self.memory, lambda: self.now)
        self.sharing = found
        trials = [object() for _ in range(64)]
        for number in range(epochs):
            level = found.level
            self.largest = max(self.largest, level)
            self.now += 1 / min(self.alone * level, self.at_most)
            found.epoch_finished(trials[number % level])
        return found.level

    def memory(self):
        return self.sharing.level * self.per_trial, self.total


@pytest.mark.parametrize(
    ("gpu", "most", "expected"),
    [
        (Gpu(1, 1), 16, 1),  # one trial fills it
        (Gpu(1, 1.5), 16, 2),  # two are faster, four are not
        (Gpu(1, 100), 16, 16),  # as many as there are cores
        (Gpu(1, 100), 6, 6),
        (Gpu(1, 100, per_trial=10 * GIB), 16, 8),  # as many as fit in four fifths of it
        (Gpu(1, 100, per_trial=60 * GIB), 16, 1),
        (Gpu(1, 100), 1, 1),
    ],
)
def test_trials_are_doubled_as_long_as_they_fit_and_pay(gpu, most, expected):
    assert gpu.run(most) == expected
    assert gpu.largest * gpu.per_trial <= sharing.MOST_MEMORY * gpu.total or gpu.largest == 1


def test_without_a_tool_that_tells_the_memory_there_is_one_trial():
    gpu = Gpu(1, 100)
    gpu.memory = lambda: None
    assert gpu.run(16) == 1


def test_the_memory_is_asked_of_the_gpu_that_the_run_means(monkeypatch):
    asked = []

    def answer(command, **_):
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, "1024, 81920\n")

    monkeypatch.setattr(sharing.subprocess, "run", answer)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert gpu_memory("cuda:1")() == (GIB, 80 * GIB)
    assert "--id=5" in asked[0]
    monkeypatch.setattr(sharing.subprocess, "run", lambda *_, **__: _missing())
    assert gpu_memory("cuda:1")() is None


def _missing():
    raise FileNotFoundError("nvidia-smi")
