"""What the code asks of a device: whether reading a value from it waits, and how to send to it."""

from __future__ import annotations

import torch
from torch import Tensor


def reads_wait(device: torch.device) -> bool:
    """Whether reading a number from this device waits until all that was queued there is done.

    On a CPU nothing is queued. On any other device a step of training must read nothing.
    """
    return device.type != "cpu"


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; nothing waits for the copy except what uses it.

    From memory of the host that the system may move, CUDA copies only once its queue is empty.
    """
    if device.type == "cuda" and values.device.type == "cpu":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)
