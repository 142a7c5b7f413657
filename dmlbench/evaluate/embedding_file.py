"""What one file of embeddings holds, and the checks that every format shares.

Legend: N items, D dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.errors import UsageError
from dmlbench.evaluate.inputs import as_embeddings

_ROWS_AT_ONCE = 1 << 16


@dataclass(frozen=True)
class LabelledEmbeddings:
    """What one file holds.

    path: of the embeddings, for messages.
    embeddings: (N, D) float16, float32 or float64, perhaps a memory map.
    labels: (N,) int64 or text; None where the file has none.
    gallery, gallery_labels: the same of a gallery in the same file, or None.
    ignored: columns of a table that are neither label nor embedding.
    """

    path: Path
    embeddings: np.ndarray
    labels: np.ndarray | None
    gallery: np.ndarray | None = None
    gallery_labels: np.ndarray | None = None
    ignored: tuple[str, ...] = ()


def real_numbers(values: Any, path: Path, name: str) -> np.ndarray:
    """The values as an array (N, D); a memory map stays one.

    Raises `UsageError` that names file, array and row of what is not a finite real number.
    """
    try:
        array = as_embeddings(values, name)
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error
    for start in range(0, len(array), _ROWS_AT_ONCE):
        bad = ~np.isfinite(array[start : start + _ROWS_AT_ONCE]).all(axis=1)
        if bad.any():
            row = start + int(np.flatnonzero(bad)[0])
            raise UsageError(f"{path}: {name} hold NaN or infinity, first in row {row} (from 0).")
    return array


def check_lengths(labels: np.ndarray | None, rows: np.ndarray | None, named: str, of: str) -> None:
    """Raise `UsageError` unless there is a label for each embedding; None is not there.

    named, of: what the labels and the embeddings are called in the message.
    """
    if labels is not None and rows is not None and len(labels) != len(rows):
        raise UsageError(
            f"{named}: {len(labels):,} labels for {len(rows):,} embeddings of {of}; one label per "
            f"embedding is needed, in the same order."
        )
