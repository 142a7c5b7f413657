"""Glyph outlines from a TrueType font file, as integers, with no font engine in between.

A font engine rounds outlines to the pixels of one size (hinting), and does so differently by
version and setting; the bytes of a font file never change. Only what glyphs without hinting need
is read: the tables cmap, loca and glyf (Apple, TrueType Reference Manual; OpenType 1.9).
"""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np

CURVE_STEPS = 8
"""Straight pieces that stand for a quadratic curve."""

UNITS = 2 * CURVE_STEPS**2
"""Outlines are in 1/UNITS of a font unit: points on curves and midpoints are then integers."""

_ONE = 1 << 14  # of the numbers that scale a component

Point = tuple[int, int, bool]  # x, y in font units, on the curve or a control point


class Font:
    """The outlines of one font file.

    path: a ``.ttf`` file with TrueType outlines.
    """

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        (count,) = struct.unpack_from(">H", self._data, 4)
        records = [struct.unpack_from(">4sIII", self._data, 12 + 16 * i) for i in range(count)]
        self._tables = {tag.decode(): (offset, size) for tag, _, offset, size in records}
        self._glyf = self._tables["glyf"][0]
        (long_offsets,) = struct.unpack_from(">h", self._data, self._tables["head"][0] + 50)
        offset, size = self._tables["loca"]
        kind = ">u4" if long_offsets else ">u2"
        places = np.frombuffer(self._data[offset : offset + size], kind).astype(np.int64)
        self._places = (places if long_offsets else 2 * places).tolist()
        self.glyph_of = self._read_cmap()
        """The glyph number of each code point."""

    def segments(self, code_point: int) -> np.ndarray:
        """Return the straight pieces of a character's outline: (E, 4) int64 of x0, y0, x1, y1.

        In 1/UNITS of a font unit, y upwards; no piece where the character has no ink.
        """
        pieces = [_flatten(contour) for contour in self._contours(self.glyph_of[code_point])]
        if not pieces:
            return np.empty((0, 4), dtype=np.int64)
        return np.concatenate([np.hstack([p, np.roll(p, -1, axis=0)]) for p in pieces])

    def _read_cmap(self) -> dict[int, int]:
        """Read format 12, for all of Unicode: ranges of code points with consecutive glyphs."""
        base = self._tables["cmap"][0]
        (count,) = struct.unpack_from(">H", self._data, base + 2)
        records = (struct.unpack_from(">HHI", self._data, base + 4 + 8 * i) for i in range(count))
        places = [
            base + offset
            for platform, encoding, offset in records
            if (platform, encoding) == (3, 10)
        ]
        if not places:
            raise ValueError("the font has no character map for all of Unicode")
        (ranges,) = struct.unpack_from(">I", self._data, places[0] + 12)
        glyph_of = {}
        for i in range(ranges):
            first, last, glyph = struct.unpack_from(">III", self._data, places[0] + 16 + 12 * i)
            glyph_of.update(zip(range(first, last + 1), itertools.count(glyph), strict=False))
        return glyph_of

    def _contours(self, glyph: int) -> list[list[Point]]:
        start, end = self._places[glyph], self._places[glyph + 1]
        if start == end:
            return []
        at = self._glyf + start
        (count,) = struct.unpack_from(">h", self._data, at)
        return self._simple(at + 10, count) if count >= 0 else self._composite(at + 10)

    def _simple(self, at: int, count: int) -> list[list[Point]]:
        data = self._data
        ends = struct.unpack_from(f">{count}H", data, at)
        at += 2 * count
        at += 2 + struct.unpack_from(">H", data, at)[0]  # the instructions are skipped
        total = ends[-1] + 1 if ends else 0
        flags: list[int] = []
        while len(flags) < total:
            flag, at = data[at], at + 1
            flags.append(flag)
            if flag & 8:
                flags.extend([flag] * data[at])
                at += 1
        axes = []
        for short, same in ((2, 16), (4, 32)):
            value, values = 0, []
            for flag in flags:
                if flag & short:
                    value += data[at] if flag & same else -data[at]
                    at += 1
                elif not flag & same:
                    value += struct.unpack_from(">h", data, at)[0]
                    at += 2
                values.append(value)
            axes.append(values)
        points = [(x, y, bool(f & 1)) for x, y, f in zip(*axes, flags, strict=True)]
        starts = [0, *(end + 1 for end in ends)]
        return [points[a:b] for a, b in zip(starts, starts[1:], strict=False)]

    def _composite(self, at: int) -> list[list[Point]]:
        contours: list[list[Point]] = []
        more = True
        while more:
            flags, glyph = struct.unpack_from(">HH", self._data, at)
            words, more = flags & 1, bool(flags & 32)
            first, second = struct.unpack_from(">hh" if words else ">bb", self._data, at + 4)
            at += 8 if words else 6
            if not flags & 2 or flags & (8 | 128):
                raise ValueError(f"glyph {glyph}: only offsets and scales by axis are supported")
            scale_x = scale_y = _ONE
            if flags & 64:
                scale_x, scale_y = struct.unpack_from(">hh", self._data, at)
                at += 4
            half = _ONE // 2  # rounds to the nearest unit
            contours += [
                [
                    (
                        (x * scale_x + half) // _ONE + first,
                        (y * scale_y + half) // _ONE + second,
                        on,
                    )
                    for x, y, on in contour
                ]
                for contour in self._contours(glyph)
            ]
        return contours


def _flatten(contour: list[Point]) -> np.ndarray:
    """Return a closed contour as points (n, 2) int64 in 1/UNITS of a font unit."""
    points: list[tuple[int, int, bool]] = []  # doubled, so midpoints are integers
    for (x0, y0, on0), (x1, y1, on1) in zip(contour, contour[1:] + contour[:1], strict=True):
        points.append((2 * x0, 2 * y0, on0))
        if not on0 and not on1:
            points.append((x0 + x1, y0 + y1, True))
    first = next((i for i, point in enumerate(points) if point[2]), 0)
    points = points[first:] + points[: first + 1]
    n = CURVE_STEPS
    flat = []
    for i, (x, y, on) in enumerate(points[:-1]):
        if on:
            flat.append((n * n * x, n * n * y))
        else:
            (x0, y0, _), (x1, y1, _) = points[i - 1], points[i + 1]
            flat.extend(
                (
                    (n - k) ** 2 * x0 + 2 * k * (n - k) * x + k * k * x1,
                    (n - k) ** 2 * y0 + 2 * k * (n - k) * y + k * k * y1,
                )
                for k in range(1, n)
            )
    return np.array(flat, dtype=np.int64).reshape(-1, 2)
