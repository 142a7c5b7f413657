"""Batches of stored images on the device, each made while the one before is computed.

On a CPU the processor that gathers is the one that computes, so a batch is gathered when it is
asked for. For a device a thread gathers the next batches into memory that the device can read, and
a stream of its own copies them; the stream that computes waits for a copy, the program does not.
Legend: B batch.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from dmlbench.data import devices
from dmlbench.data.transforms import stored_at

#: Batches that wait on the device: one would do, and another hides that a gather took longer.
AHEAD = 2


@dataclass(frozen=True)
class Batch:
    """One batch.

    stored: (B, C, H, W) uint8, or features (B, F), on the device.
    covered: (B, 2) int64 on the CPU, what each image covers; None where all fill the batch.
    labels: (B,) int64 on the device; None where none were given.
    host_labels: the same on the host.
    """

    stored: Tensor
    covered: Tensor | None
    labels: Tensor | None = None
    host_labels: np.ndarray | None = None


class Copies(Protocol):
    """Copies tensors to a device, beside what it computes."""

    def send(self, tensors: list[Tensor]) -> Any:
        """Begin to copy; called by the thread that gathers."""

    def receive(self, sent: Any) -> list[Tensor]:
        """What `send` gave, on the device, for what is computed from now on."""


class CudaCopies:
    """Copies through pinned memory, on a stream of their own."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)

    def send(self, tensors: list[Tensor]) -> Any:
        """Begin to copy."""
        with torch.cuda.stream(self.stream):
            there = [tensor.pin_memory().to(self.device, non_blocking=True) for tensor in tensors]
            copied = torch.cuda.Event()
            copied.record(self.stream)
        return there, copied

    def receive(self, sent: Any) -> list[Tensor]:
        """The tensors; the current stream waits for the copy, the program does not."""
        there, copied = sent
        current = torch.cuda.current_stream(self.device)
        current.wait_event(copied)
        for tensor in there:
            tensor.record_stream(current)  # or its memory could be given away while it is read
        return there


def copies_to(device: torch.device) -> Copies | None:
    """The way to a device; None where batches are copied when they are asked for."""
    return CudaCopies(device) if device.type == "cuda" else None


def batches(
    images: Any,
    labels: np.ndarray | None,
    rows: Iterable[np.ndarray],
    device: torch.device,
    copies: Copies | None = None,
) -> Iterator[Batch]:
    """Yield a batch for each of `rows` (B,) int64, on `device`.

    images: what an `ImageSet` holds as images. labels: (N,) int64, if they are to be given.
    copies: by default those that the device has.
    Close the iterator where it is left early. What reading an image raises is raised here, at the
    batch that the image is in.
    """
    copies = copies or copies_to(device)
    if copies is None:
        for some in rows:
            tensors, covered, host = _gathered(images, labels, some)
            yield _batch([devices.to_device(tensor, device) for tensor in tensors], covered, host)
        return
    with contextlib.closing(_ahead(images, labels, rows, copies)) as made:
        for sent, covered, host in made:
            yield _batch(copies.receive(sent), covered, host)


Gathered = tuple[list[Tensor], Tensor | None, np.ndarray | None]


def _gathered(images: Any, labels: np.ndarray | None, rows: np.ndarray) -> Gathered:
    """The images at `rows` and, where they were given, their labels; what they cover; labels."""
    stored, covered = stored_at(images, rows)
    if labels is None:
        return [stored], covered, None
    host = labels[rows]
    return [stored, torch.from_numpy(host)], covered, host


def _batch(there: list[Tensor], covered: Tensor | None, host: np.ndarray | None) -> Batch:
    return Batch(there[0], covered, there[1] if len(there) > 1 else None, host)


def _ahead(
    images: Any, labels: np.ndarray | None, rows: Iterable[np.ndarray], copies: Copies
) -> Iterator[tuple[Any, Tensor | None, np.ndarray | None]]:
    """What is gathered and sent for each of `rows`, up to `AHEAD` before it is asked for."""
    made: queue.Queue[Any] = queue.Queue(AHEAD)
    left = threading.Event()

    def put(item: Any) -> None:
        while not left.is_set():
            with contextlib.suppress(queue.Full):
                made.put(item, timeout=0.1)
                return

    def gather() -> None:
        try:
            for some in rows:
                tensors, covered, host = _gathered(images, labels, some)
                put((copies.send(tensors), covered, host))
                if left.is_set():
                    return
        except BaseException as error:  # whatever it is, it belongs to who asks for the batch
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=gather, name="dmlbench input", daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        thread.join()
