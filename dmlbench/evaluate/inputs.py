"""What callers hand in, checked and brought to unit length, as NumPy arrays.

Legend: N items, D dimension.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np


def as_embeddings(values: Any, name: str) -> np.ndarray:
    """The embeddings (N, D) as an array; a memory map stays one.

    values: tensor on any device or array, real. bfloat16 becomes float32, integers float64.
    Raises ValueError on another shape, on N = 0 or D = 0, and on what is not real numbers.
    """
    if hasattr(values, "detach"):
        tensor = values.detach()
        # NumPy has no bfloat16.
        values = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).cpu().numpy()
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    if array.dtype.kind != "f":
        raise ValueError(f"{name} are {array.dtype}; they must be real numbers.")
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"{name} have shape {array.shape}; it must be (N, D), both at least 1.")
    return array


def as_labels(values: Any, name: str, num_items: int) -> np.ndarray:
    """The labels (N,) as int64, so no two labels merge.

    Raises ValueError on another shape or length, and on labels that are not integers.
    """
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.shape != (num_items,):
        raise ValueError(
            f"{name} have shape {array.shape}; one label per embedding is needed: ({num_items},)."
        )
    if array.dtype.kind not in "iu":
        raise ValueError(
            f"{name} are {array.dtype}; they must be integers. Number the classes first, for "
            "example with numpy.unique(names, return_inverse=True)[1]."
        )
    if array.dtype == np.uint64 and array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} go up to {array.max()}; they must fit int64.")
    return array.astype(np.int64)


def validate_ks(values: Iterable[int], name: str) -> tuple[int, ...]:
    """The numbers of neighbours to look at, ascending and distinct, each at least 1."""
    ks = list(values)
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"{name} has {k!r}; every K must be an integer of at least 1.")
    return tuple(sorted({int(k) for k in ks}))


def working_dtype(*arrays: np.ndarray) -> np.dtype:
    """The precision to compare in: float32, or float64 where any of the arrays is wider."""
    wider = any(array.dtype.itemsize > 4 for array in arrays)
    return np.dtype(np.float64 if wider else np.float32)


def normalise(rows: np.ndarray, dtype: np.dtype, name: str, positions: np.ndarray) -> np.ndarray:
    """A copy of rows (N, D) with unit L2 norm; a zero row stays zero, its cosine to all is 0.

    positions: (N,) where the rows are in what the caller handed in, for the message.
    Raises ValueError naming the first row that holds NaN or an infinity.
    """
    out = np.array(rows, dtype=dtype, order="C", copy=True)
    out += 0.0  # −0.0 becomes 0.0: equal rows are then equal bytes
    squares = np.einsum("nd,nd->n", out, out)
    info = np.finfo(dtype)
    # Outside of this range the sum of squares may have lost digits, or is not a number.
    odd = ~((squares > np.sqrt(info.tiny)) & (squares < np.sqrt(info.max)))
    if odd.any():
        _require_finite(out[odd], name, positions[odd])
        out[odd], squares[odd] = _rescale(out[odd])
    out /= np.sqrt(squares)[:, None]
    return out


def finite(rows: np.ndarray, dtype: np.dtype, name: str, positions: np.ndarray) -> np.ndarray:
    """A copy of rows (N, D) as they are. Raises ValueError as `normalise` does."""
    out = np.array(rows, dtype=dtype, order="C", copy=True)
    out += 0.0  # −0.0 becomes 0.0: equal rows are then equal bytes
    _require_finite(out, name, positions)
    return out


def lift_queries(rows: np.ndarray, dtype: np.dtype, name: str, positions: np.ndarray) -> np.ndarray:
    """(2q, −1) of each row q, (N, D + 1); see `lift_items`."""
    out = _with_room(rows, dtype, name, positions)
    out[:, :-1] *= 2
    out[:, -1] = -1
    return out


def lift_items(rows: np.ndarray, dtype: np.dtype, name: str, positions: np.ndarray) -> np.ndarray:
    """(x, ‖x‖²) of each row x, (N, D + 1).

    Its product with (2q, −1) is ‖q‖² − ‖q − x‖²: the nearer an item is to a query, the larger, so
    a search by inner product is one by Euclidean distance.
    Raises ValueError naming the first row that holds NaN or an infinity, or is longer than any
    square can say.
    """
    out = _with_room(rows, dtype, name, positions)
    out[:, -1] = np.einsum("nd,nd->n", out[:, :-1], out[:, :-1])
    _require_finite(out, name, positions)
    return out


def _with_room(rows: np.ndarray, dtype: np.dtype, name: str, positions: np.ndarray) -> np.ndarray:
    """A copy of rows (N, D) with a column of zeros behind, (N, D + 1)."""
    room = np.zeros((len(rows), 1), dtype)
    return np.concatenate([finite(rows, dtype, name, positions), room], axis=1)


def _require_finite(rows: np.ndarray, name: str, positions: np.ndarray) -> None:
    bad = positions[~np.isfinite(rows).all(axis=1)]
    if len(bad):
        raise ValueError(
            f"{name} hold NaN or infinity, first in row {bad.min()}. Such embeddings have no "
            "order; look at the training that made them."
        )


def _rescale(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows with a largest value near 1, and their sums of squares; 1 for a zero row."""
    # A power of two changes no digit.
    exponents = np.frexp(np.abs(rows).max(axis=1))[1]
    rows = np.ldexp(rows, -exponents[:, None])
    squares = np.einsum("nd,nd->n", rows, rows)
    return rows, np.where(squares > 0, squares, 1)
