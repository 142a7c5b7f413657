"""Numbers in a module's state that its code looks at: they stay on the CPU, where no read waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class HostCounters(nn.Module):
    """A module with counters, which are buffers, and so part of its state, on the CPU always.

    counters: their names; each starts at 0.
    """

    counters: tuple[str, ...] = ()

    def start_counters(self) -> None:
        """Make the counters, () int64."""
        for name in self.counters:
            self.register_buffer(name, torch.zeros((), dtype=torch.int64, device="cpu"))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        # What moves a module to a device or a type: not its counters.
        kept = {name: self._buffers[name] for name in self.counters if name in self._buffers}
        super()._apply(fn, recurse)
        self._buffers.update(kept)
        return self
