"""Glyph outlines from a TrueType font file, as integers, with no font engine in between.

A font engine rounds outlines to the pixels of one size (hinting), and does so differently by
version and setting; the bytes of a font file never change. Only what glyphs without hinting need
is read: the tables cmap, loca and glyf (Apple, TrueType Reference Manual; OpenType 1.9).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CURVE_STEPS = 8
"""Straight pieces that stand for a quadratic curve."""

UNITS = 2 * CURVE_STEPS**2
"""Outlines are in 1/UNITS of a font unit: points on curves and midpoints are then integers."""

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
        places = np.frombuffer(
            self._data,
            ">u4" if long_offsets else ">u2",
            size // 4 if long_offsets else size // 2,
            offset,
        )
        self._places = (places if long_offsets else places.astype(np.int64) * 2).tolist()
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
        base = self._tables["cmap"][0]
        (count,) = struct.unpack_from(">H", self._data, base + 2)
        found = {}
        for i in range(count):
            platform, encoding, offset = struct.unpack_from(">HHI", self._data, base + 4 + 8 * i)
            found[platform, encoding] = base + offset
        if (3, 10) in found:
            return dict(self._cmap_groups(found[3, 10]))
        return dict(self._cmap_segments(found[3, 1]))

    def _cmap_groups(self, base: int) -> Iterator[tuple[int, int]]:
        """Format 12: groups of consecutive code points with consecutive glyphs."""
        (count,) = struct.unpack_from(">I", self._data, base + 12)
        for i in range(count):
            first, last, glyph = struct.unpack_from(">III", self._data, base + 16 + 12 * i)
            yield from zip(
                range(first, last + 1), range(glyph, glyph + last - first + 1), strict=True
            )

    def _cmap_segments(self, base: int) -> Iterator[tuple[int, int]]:
        """Format 4: segments of code points with a shift or a list of glyphs."""
        (twice,) = struct.unpack_from(">H", self._data, base + 6)
        n = twice // 2
        fields = [
            struct.unpack_from(f">{n}H", self._data, base + 14 + skip)
            for skip in (0, twice + 2, 2 * twice + 2, 3 * twice + 2)
        ]
        for i, (last, first, delta, offset) in enumerate(zip(*fields, strict=True)):
            for code in range(first, min(last, 0xFFFE) + 1):
                glyph = code
                if offset:
                    place = base + 16 + 3 * twice + 2 * i + offset + 2 * (code - first)
                    (glyph,) = struct.unpack_from(">H", self._data, place)
                    if not glyph:
                        continue
                yield code, (glyph + delta) & 0xFFFF

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
            words, offsets, more = flags & 1, flags & 2, bool(flags & 32)
            first, second = struct.unpack_from(">hh" if words else ">bb", self._data, at + 4)
            at += 8 if words else 6
            size = 1 if flags & 8 else 2 if flags & 64 else 4 if flags & 128 else 0
            parts = [v / 16384 for v in struct.unpack_from(f">{size}h", self._data, at)]
            at += 2 * size
            xx, xy, yx, yy = {
                0: lambda: (1, 0, 0, 1),
                1: lambda: (parts[0], 0, 0, parts[0]),
                2: lambda: (parts[0], 0, 0, parts[1]),
                4: lambda: parts,
            }[size]()
            if not offsets:
                raise ValueError("glyphs that are joined by matching points are not supported")
            contours += [
                [
                    (round(x * xx + y * yx) + first, round(x * xy + y * yy) + second, on)
                    for x, y, on in contour
                ]
                for contour in self._contours(glyph)
            ]
        return contours


def _flatten(contour: list[Point]) -> np.ndarray:
    """Return a closed contour as points (n, 2) int64 in 1/UNITS of a font unit."""
    points: list[tuple[int, int, bool]] = []  # doubled, so that midpoints are integers
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
