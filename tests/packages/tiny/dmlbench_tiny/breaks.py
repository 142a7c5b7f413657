"""A loss that goes well for some steps."""

from __future__ import annotations

import os
import signal

import torch


class Breaks(torch.nn.Module):
    """A dot product, until it breaks.

    step: how many steps go well. how: "nan", "raise", or "kill" for the whole process.
    """

    def __init__(self, step=3, how="nan"):
        super().__init__()
        self.step, self.how, self.calls = step, how, 0

    def forward(self, embeddings, labels):
        self.calls += 1
        value = (embeddings[::2] * embeddings[1::2]).sum()
        if self.calls <= self.step:
            return value
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "raise":
            raise RuntimeError("out of luck")
        return value * float("nan")
