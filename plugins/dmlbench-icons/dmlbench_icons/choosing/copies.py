"""Drawings that are copies of each other, exact or to the eye.

Drawings are compared by their edges. The ink itself would say little: two filled circles with
different signs in them share nearly all of it.
Legend: N drawings, S pixels a side of an edge image.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

SIDE = 32
_MARGIN = 3
_BLUR = 0.8  # pixels: as much as two renderings of one outline may be apart
_WIDE_BLUR = 1.0
_LIKE = 0.93  # cosine of edges, blurred again, below which drawings are not compared
_CHUNK = 512


def edges(image: np.ndarray) -> np.ndarray:
    """Return the edges of a drawing (H, W) uint8, wherever and however large: (S, S) float32.

    The box of its ink is scaled, in its proportions, to fill the square except a margin.
    """
    ink = 255 - image
    rows, columns = np.flatnonzero(ink.max(1) > 63), np.flatnonzero(ink.max(0) > 63)
    if not len(rows):
        return np.zeros((SIDE, SIDE), np.float32)
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = (SIDE - 2 * _MARGIN) / max(box.shape)
    height, width = (max(1, round(side * scale)) for side in box.shape)
    scaled = Image.fromarray(box).resize((width, height), Image.Resampling.BOX)
    square = np.zeros((SIDE, SIDE), np.float32)
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square[top : top + height, left : left + width] = np.asarray(scaled, np.float32) / 255
    return gaussian_gradient_magnitude(square, _BLUR)


def distances(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of edges in which drawings differ, pair by pair: (N,), 0 to 1.

    It is the smallest over shifts by up to a pixel. ones, others: edges, (N, S, S).
    """
    least = np.full(len(ones), np.inf, np.float32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            moved = np.roll(others, (down, right), (1, 2))
            np.minimum(least, np.abs(ones - moved).sum((1, 2)), out=least)
    return least / np.maximum(ones.sum((1, 2)) + others.sum((1, 2)), 1e-9)


def close_pairs(drawings: np.ndarray, limit: float) -> Iterator[tuple[int, int, float]]:
    """Yield ``(i, j, distance)``, i < j, for drawings whose edges are closer than `limit`.

    drawings: their edges, (N, S, S) float32.
    """
    flat = gaussian_filter(drawings, (0, _WIDE_BLUR, _WIDE_BLUR)).reshape(len(drawings), -1)
    unit = flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    for start in range(0, len(unit), _CHUNK):
        rows, columns = np.nonzero(unit[start : start + _CHUNK] @ unit.T > _LIKE)
        later = rows + start < columns
        ones, others = rows[later] + start, columns[later]
        for first in range(0, len(ones), _CHUNK):
            i, j = ones[first : first + _CHUNK], others[first : first + _CHUNK]
            found = distances(drawings[i], drawings[j])
            for k in np.flatnonzero(found < limit):
                yield int(i[k]), int(j[k]), float(found[k])
