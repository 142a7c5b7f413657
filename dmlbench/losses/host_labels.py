"""Labels on the host: what a loss must know to choose shapes, without a read from the device.

How many positives an anchor has at most, or which labels are out of range, depends on the labels'
values. Whoever sends a batch to a device has had the labels on the host, and says so once
(`note_labels`); a loss then waits for nothing.

Shapes: B batch.
"""

from __future__ import annotations

import weakref

import numpy as np
from torch import Tensor


class _Noted:
    """The labels that were noted last, as long as their tensor lives and is not written to."""

    def __init__(self) -> None:
        self._entry: tuple[weakref.ref, int, np.ndarray] | None = None

    def put(self, labels: Tensor, host: np.ndarray) -> None:
        if not labels.is_inference():  # no version tells whether such a one was written to
            self._entry = (weakref.ref(labels), labels._version, host)

    def get(self, labels: Tensor) -> np.ndarray | None:
        entry = self._entry
        if entry is None or entry[0]() is not labels or entry[1] != labels._version:
            return None
        return entry[2]


_noted = _Noted()


def note_labels(labels: Tensor, host: np.ndarray) -> None:
    """Say that `labels` (B,), on a device, are those in `host` (B,) int64, so none reads them."""
    _noted.put(labels, host)


def host_labels(labels: Tensor) -> np.ndarray:
    """The values (B,) of labels on any device.

    As noted by `note_labels`, if they were; else they are read, once for all losses of a batch.
    """
    if labels.device.type == "cpu":
        return labels.detach().numpy()
    host = _noted.get(labels)
    if host is None:
        host = labels.detach().cpu().numpy()
        note_labels(labels, host)
    return host


def largest_class(labels: np.ndarray, references: np.ndarray) -> int:
    """How many of the references (N,) have the commonest of the labels (B,)."""
    present, counts = np.unique(references, return_counts=True)
    return int(counts[np.isin(present, labels)].max(initial=0))
