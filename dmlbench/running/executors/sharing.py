"""How many trials share a GPU: more, as long as they fit in its memory and more is done.

A small network leaves a GPU idle between the operations that one process launches. So a run begins
with one trial on a GPU and doubles their number as long as the epochs of all of them together come
faster by `LEAST_GAIN`, and as long as the memory that was seen in use leaves room.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Hashable

LEAST_GAIN = 1.15
"""How much more must be done by twice as many trials for that to be kept."""

MOST_MEMORY = 0.8
"""The part of a GPU's memory that trials may fill: for a while a test takes more than training."""

#: Epochs of each trial that are timed, after one in which it starts.
_EPOCHS = 2

#: Bytes in use and bytes in all of a GPU; None where that cannot be told.
Memory = Callable[[], tuple[int, int] | None]


class Sharing:
    """The number of trials on one GPU.

    most: how many at once at most, such as the cores that feed them.

    level: how many trials at once from now on.
    """

    def __init__(self, most: int, memory: Memory, clock: Callable[[], float] = time.monotonic):
        self.most, self.memory, self.clock = most, memory, clock
        self.level = 1
        self._settled = most < 2
        self._last_rate: float | None = None
        self._before = 1
        self._begin()

    def epoch_finished(self, job: Hashable) -> None:
        """A trial on this GPU has finished an epoch."""
        if self._settled:
            return
        self._begun.add(job)
        if self._started is None:
            if len(self._begun) >= self.level:
                self._started, self._counted = self.clock(), 0
            return
        self._counted += 1
        if self._counted >= _EPOCHS * self.level:
            self._judge(self._counted / max(self.clock() - self._started, 1e-9))

    def _begin(self) -> None:
        """Wait until every trial has finished an epoch: the first one holds the start-up."""
        self._begun: set[Hashable] = set()
        self._started: float | None = None
        self._counted = 0

    def _judge(self, rate: float) -> None:
        """rate: epochs of all trials in a second, at this level."""
        if self._last_rate is not None and rate < LEAST_GAIN * self._last_rate:
            self.level, self._settled = self._before, True
            return
        wanted = min(2 * self.level, self.most, self._room())
        if wanted <= self.level:
            self._settled = True
            return
        self._last_rate, self._before, self.level = rate, self.level, wanted
        self._begin()

    def _room(self) -> int:
        """How many trials like these fit in the memory."""
        seen = self.memory()
        if seen is None:
            return self.level
        used, total = seen
        return int(MOST_MEMORY * total // max(used / self.level, 1))


def gpu_memory(device: str) -> Memory:
    """The memory of a GPU, as the driver sees it: of all processes, with what they keep for later.

    device: as `dmlbench.running.executors.devices.found_devices` gives it.
    """
    from dmlbench.running.executors.devices import visible_name

    def read() -> tuple[int, int] | None:
        command = ["nvidia-smi", f"--id={visible_name(device)}", "--format=csv,noheader,nounits"]
        try:
            found = subprocess.run(
                [*command, "--query-gpu=memory.used,memory.total"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            used, total = (int(number) << 20 for number in found.stdout.split(","))
        except (OSError, ValueError, subprocess.SubprocessError):
            return None  # no tool to tell: one trial at a time
        return used, total

    return read
