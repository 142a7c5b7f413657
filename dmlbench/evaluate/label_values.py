"""Labels of files, text or numbers, as the integers that retrieval compares.

Legend: N items.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dmlbench.errors import UsageError

# As `str` writes an integer: 7 and 07 stay two classes.
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")


def check_labels(values: Any, named: str) -> np.ndarray:
    """Labels (N,) as int64 or text; whole floats count as integers.

    named: the file, for messages.
    Raises `UsageError` for another shape, an empty label, and what is neither number nor text.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.ndim != 1:
        raise UsageError(
            f"{named} have the shape {array.shape}; one label per row is needed: (N,)."
        )
    if array.dtype.kind == "f":
        bad = np.flatnonzero(~(array == np.floor(array)) | (np.abs(array) > 2**53))
        if len(bad):
            raise UsageError(f"{named}: {array[bad[0]]} in row {bad[0]} (from 0) is not a label.")
        return array.astype(np.int64)
    if array.dtype.kind in "iub":
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise UsageError(f"{named} go up to {array.max()}; they must fit int64.")
        return array.astype(np.int64)
    if array.dtype.kind in "OUST":
        return _text(array, named)
    raise UsageError(f"{named} are {array.dtype}; labels are integers or text.")


def numbered(*labels: np.ndarray) -> list[np.ndarray]:
    """Labels (N,) of several sets as int64, each value the same number in all of them.

    Text that is the usual form of integers in all sets counts as integers, so the text of a CSV
    file and the numbers of an array can be compared.
    Raises `UsageError` where one set holds text and another one numbers.
    """
    sets = [_as_integers(one) for one in labels]
    if len({one.dtype.kind for one in sets}) > 1:
        first = next(str(one[0]) for one in sets if one.dtype.kind != "i")
        raise UsageError(
            f"Labels of one file are numbers and those of another are text ({first!r}): no query "
            f"would find an item of its class."
        )
    _, codes = np.unique(np.concatenate(sets), return_inverse=True)
    return np.split(codes.reshape(-1).astype(np.int64), np.cumsum([len(one) for one in sets])[:-1])


def _as_integers(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind == "i" or not all(_INTEGER.fullmatch(one) for one in labels):
        return labels
    return labels.astype(np.int64)


def _text(array: np.ndarray, named: str) -> np.ndarray:
    rows = array.tolist()
    for row, value in enumerate(rows):
        if not isinstance(value, str | int) or value == "":
            what = "empty" if isinstance(value, str) else repr(value)
            raise UsageError(f"{named}: the label in row {row} (from 0) is {what}.")
    return np.array([str(value) for value in rows], dtype=np.str_)
