"""Glyph outlines to noisy grey images, in integers from end to end.

Nothing here depends on a font engine, an image library or a maths library's rounding: the same
outlines and the same random bits give the same bytes everywhere. Random bits come straight from
PCG64, whose stream NumPy keeps. Legend: n images, S pixels a side, E straight pieces of an outline.

Geometry is in 1/256 of a pixel of a grid at double size (2S × 2S). The float64 products in it hold
integers below 2^53, so they are exact in whatever order a BLAS adds them up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

PARAMETERS = 16
"""64-bit random numbers that an image's geometry and greys take, before those of its noise."""

_SUBPIXEL = 256
_ROWS = 4  # scan lines in a row of the double grid
_UNIT = 1 << 16  # of cosines, sines and shears
_BLURS = 16  # widths from none to MAX_BLUR

MAX_ROTATION_DEGREES = 25
SIDE = (0.65, 0.85)  # longer side of the upright glyph, of the image's side
MAX_STRETCH = 0.15  # of width against height, either way
MAX_SHEAR = 0.2
MAX_SHIFT = 0.09  # of the image's side
MAX_BLUR = 1.5  # standard deviation, pixels at double size of a 32 px image
MIN_CONTRAST = 50
NOISE = 17.5  # standard deviation, of 255: 35 at double size, halved as the image is


def random_words(seed: int, code_point: int, count: int, size: int) -> np.ndarray:
    """Return the random numbers of a character's images, (count, words) uint64.

    Each image's words depend on seed, character and its place alone, not on `count`.
    """
    words = PARAMETERS + -(-size * size // 2)
    bits = np.random.PCG64([seed, code_point])
    return bits.random_raw(count * words).reshape(count, words)


def render(outlines: Sequence[np.ndarray], words: np.ndarray, size: int) -> np.ndarray:
    """Return images (n, S, S) uint8 of a glyph under random views.

    outlines: n arrays (E, 4) of `dmlbench.datasets.truetype.Font.segments`.
    words: (n, words), uint64, of `random_words`.
    """
    draws = words[:, :PARAMETERS]
    matrices, shifts = _views(outlines, draws, size)
    covered = coverage(outlines, matrices, shifts, 2 * size)  # (n, 2S, 2S)
    alpha = _blur_and_halve(covered, _between(draws[:, 6], 0, _BLURS - 1), size)  # of 2^14
    contrast = _between(draws[:, 7], MIN_CONTRAST, 255)
    darker = _between(draws[:, 8], np.zeros_like(contrast), 255 - contrast)
    bright_ink = _between(draws[:, 9], 0, 1)
    paper = (darker + contrast * (1 - bright_ink))[:, None, None]
    ink_minus_paper = (contrast * (2 * bright_ink - 1))[:, None, None]
    grey = (paper << 14) + ink_minus_paper * alpha + _noise(words[:, PARAMETERS:], size)
    return np.clip((grey + (1 << 13)) >> 14, 0, 255).astype(np.uint8)


def upright(outlines: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Return coverages (n, S, S) from 0 to 1 of outlines that fill the frame, without a view."""
    extents = np.array([_box(outline)[1] for outline in outlines])
    scale = ((size * _SUBPIXEL) << 32) // extents
    zeros = np.zeros_like(scale)
    matrices = np.stack([scale, zeros, zeros, -scale], axis=1)
    shifts = np.full((len(scale), 2), size * _SUBPIXEL // 2)
    return coverage(outlines, matrices, shifts, size) / (_ROWS * _SUBPIXEL)


def _views(
    outlines: Sequence[np.ndarray], draws: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return matrices (n, 4), in 2^-32 of a grid step per outline unit, and shifts (n, 2)."""
    frame = 2 * size * _SUBPIXEL
    extents = np.array([_box(outline)[1] for outline in outlines])
    side = _between(draws[:, 0], int(SIDE[0] * frame), int(SIDE[1] * frame))
    stretch = int(MAX_STRETCH * _UNIT)
    wide = side * (_UNIT + _between(draws[:, 1], -stretch, stretch)) // _UNIT
    shear = _between(draws[:, 2], -int(MAX_SHEAR * _UNIT), int(MAX_SHEAR * _UNIT))
    angle = _between(draws[:, 3], -10 * MAX_ROTATION_DEGREES, 10 * MAX_ROTATION_DEGREES)
    cosine, sine = _rotations()[angle + 10 * MAX_ROTATION_DEGREES].T
    # rotation · shear · scale, with y turned to point down
    xx = cosine * wide
    xy = (cosine * shear // _UNIT - sine) * side
    yx = -sine * wide
    yy = -(sine * shear // _UNIT + cosine) * side
    matrices = np.stack([xx, xy, yx, yy], axis=1) * (1 << 16) // extents[:, None]
    far = int(MAX_SHIFT * frame)
    shifts = frame // 2 + np.stack([_between(draws[:, k], -far, far) for k in (4, 5)], axis=1)
    return matrices, shifts


def coverage(
    outlines: Sequence[np.ndarray], matrices: np.ndarray, shifts: np.ndarray, side: int
) -> np.ndarray:
    """Return how much of each grid cell outlines cover: (n, side, side) float64, 0 to 4 · 256.

    Each scan line adds, at the cells where the outline crosses it, the share of the cell to the
    right of the crossing; sums along the row then give the ink (as in font-rs, R. Levien 2016).
    """
    count = len(outlines)
    lengths = [len(outline) for outline in outlines]
    image = np.repeat(np.arange(count), lengths)  # (ΣE,)
    centres = np.repeat([_box(outline)[0] for outline in outlines], lengths, axis=0)
    ends = 2 * np.concatenate(outlines) - np.hstack([centres, centres])  # (ΣE, 4) in half units
    xx, xy, yx, yy = matrices[image].T
    dx, dy = shifts[image].T
    x0, y0, x1, y1 = ends.T
    from_x = ((xx * x0 + xy * y0) >> 33) + dx
    from_y = ((yx * x0 + yy * y0) >> 33) + dy
    to_x = ((xx * x1 + xy * y1) >> 33) + dx
    to_y = ((yx * x1 + yy * y1) >> 33) + dy
    # Scan line j is at j · gap + gap / 2; a piece crosses those from its upper to its lower end.
    gap = _SUBPIXEL // _ROWS
    first = np.clip((np.minimum(from_y, to_y) + gap // 2 - 1) // gap, 0, side * _ROWS)
    last = np.clip((np.maximum(from_y, to_y) + gap // 2 - 1) // gap, 0, side * _ROWS)
    crossings = last - first
    piece = np.repeat(np.arange(len(image)), crossings)  # (crossings,)
    line = np.arange(len(piece)) - np.repeat(np.cumsum(crossings) - crossings - first, crossings)
    run = (line * gap + gap // 2) - from_y[piece]
    rise = (to_y - from_y)[piece]
    x = from_x[piece] + (to_x - from_x)[piece] * run // rise
    x = np.clip(x, 0, side * _SUBPIXEL)
    sign = np.sign(rise)
    width = side + 2
    cell = (image[piece] * side + line // _ROWS) * width + x // _SUBPIXEL
    part = x % _SUBPIXEL
    cells = count * side * width
    change = np.bincount(cell, sign * (_SUBPIXEL - part), minlength=cells)
    change += np.bincount(cell + 1, sign * part, minlength=cells)
    wound = np.cumsum(change.reshape(count, side, width)[..., :side], axis=2)
    # A cell inside two overlapping strokes is wound twice, and is covered once.
    return np.minimum(np.abs(wound), _ROWS * _SUBPIXEL)


def _box(outline: np.ndarray) -> tuple[np.ndarray, int]:
    """Return twice the centre (2,) and the longer side of an outline's bounding box."""
    low = outline[:, :2].min(axis=0)
    high = outline[:, :2].max(axis=0)
    return low + high, int((high - low).max())


def _blur_and_halve(covered: np.ndarray, blur: np.ndarray, size: int) -> np.ndarray:
    """Return coverages (n, S, S) int64 of 2^14 from those of the double grid."""
    out = np.empty((len(covered), size, size))
    for level in np.unique(blur).tolist():
        kernel = _blur_kernel(level, size)
        chosen = blur == level
        out[chosen] = kernel @ covered[chosen] @ kernel.T
    return out.astype(np.int64) >> 20


@cache
def _blur_kernel(level: int, size: int) -> np.ndarray:
    """Return the matrix (S, 2S) of integers that blurs and halves one axis; a row sums to 2^12."""
    sigma = max(MAX_BLUR * size / 32 * level / (_BLURS - 1), 1e-3)
    reach = math.ceil(3 * sigma)
    bell = [math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)]
    pair = [a + b for a, b in zip([*bell, 0.0], [0.0, *bell], strict=True)]  # of two cells
    taps = [round(4096 * p / sum(pair)) for p in pair]
    taps[len(taps) // 2] += 4096 - sum(taps)
    matrix = np.zeros((size, 2 * size))
    for row in range(size):
        for k, tap in enumerate(taps, start=2 * row - reach):
            if 0 <= k < 2 * size:
                matrix[row, k] = tap
    return matrix


@cache
def _rotations() -> np.ndarray:
    """Return cosine and sine, in 1/_UNIT, of each tenth of a degree: (angles, 2) int64."""
    tenths = range(-10 * MAX_ROTATION_DEGREES, 10 * MAX_ROTATION_DEGREES + 1)
    radians = [math.radians(tenth / 10) for tenth in tenths]
    return np.array([[round(_UNIT * math.cos(r)), round(_UNIT * math.sin(r))] for r in radians])


def _noise(words: np.ndarray, size: int) -> np.ndarray:
    """Return noise (n, S, S) of standard deviation NOISE · 2^14: sums of four random bytes."""
    quads = words.astype("<u8", copy=False).view(np.uint8).reshape(len(words), -1, 4)
    sums = quads.sum(axis=2, dtype=np.int64)[:, : size * size].reshape(-1, size, size)
    # A byte has variance (256² - 1) / 12 and mean 127.5.
    factor = round(NOISE * 2**14 / math.sqrt(4 * (256**2 - 1) / 12))
    return (sums - 510) * factor


def _between(words: np.ndarray, low: int | np.ndarray, high: int | np.ndarray) -> np.ndarray:
    """Return integers from `low` to `high`, both included, from random words (n,) uint64."""
    # 32 of the 64 bits leave a bias below 2^-20 for the small ranges that are drawn here.
    return low + ((words >> np.uint64(32)).astype(np.int64) * (high - low + 1) >> 32)
