"""Objective and losses of the steps of an epoch: checked and averaged without a step waiting.

On a CPU a value is looked at where it is made. On a device it is copied to the host when the device
comes to it, and looked at then: a loss that becomes NaN ends a trial a few steps later, at the end
of the epoch at the latest, and names the step at which it did.
Legend: M losses.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from dmlbench.data import devices
from dmlbench.errors import TrialFailure


class NotFinite(TrialFailure):
    """A loss or the objective became NaN or infinite at `step`."""

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class StepValues:
    """The values of one epoch's steps.

    names: of the M losses.

    objective_moved: whether an objective other than 0 was seen so far.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = ("the objective", *names)
        self.objective_moved = False
        self._totals = torch.zeros(len(self.names), dtype=torch.float64)
        self._waiting: deque[tuple[int, _Read]] = deque()

    def add(self, values: Tensor, step: int) -> None:
        """Take in objective and losses (1 + M,) of a step. Raises `NotFinite` for it or another."""
        if not devices.reads_wait(values.device):
            self._look_at(values.double(), step)
            return
        self._waiting.append((step, _Read(values.double())))
        while self._waiting and self._waiting[0][1].arrived():
            self._look_at_next()

    @contextlib.contextmanager
    def explaining(self) -> Iterator[None]:
        """Around the steps: what fails after a value that is not finite fails because of it."""
        try:
            yield
        except NotFinite:
            raise
        except Exception as error:
            try:
                self.finish()
            except NotFinite as earlier:
                raise earlier from error
            except RuntimeError:
                pass  # the device itself has failed, and tells nothing
            raise

    def finish(self) -> None:
        """Wait for the values that are on their way. Raises `NotFinite`."""
        while self._waiting:
            self._look_at_next()

    def means(self, steps: int) -> list[float]:
        """The mean of each over the epoch, the objective's first; waits for them."""
        self.finish()
        return (self._totals / steps).tolist()

    def _look_at_next(self) -> None:
        step, read = self._waiting.popleft()
        self._look_at(read.values(), step)

    def _look_at(self, values: Tensor, step: int) -> None:
        check_finite(values, self.names, step)
        self.objective_moved = self.objective_moved or bool(values[0] != 0)
        self._totals += values


def check_finite(values: Tensor, names: Sequence[str], step: int) -> None:
    """Raise `NotFinite` unless all of `values` (·,), on the CPU, are finite."""
    if bool(values.isfinite().all()):
        return
    bad = [
        f"{name} is {value}"
        for name, value in zip(names, values.tolist(), strict=True)
        if not math.isfinite(value)
    ]
    # The losses say more than the objective that they make NaN.
    raise NotFinite(f"{'; '.join(bad[1:] or bad)} at step {step}", step)


class _Read:
    """Values on their way from a device to the host."""

    def __init__(self, values: Tensor) -> None:
        self._values, self._event = values, None
        if values.device.type == "cuda":
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record(torch.cuda.current_stream(values.device))

    def arrived(self) -> bool:
        """Whether they are there; other devices than CUDA do not tell."""
        return self._event is not None and self._event.query()

    def values(self) -> Tensor:
        """The values on the CPU; waits for them."""
        if self._event is not None:
            self._event.synchronize()
        return self._values.cpu()
