"""Icons of a font as SVG: the outline of each glyph as it is, in the square of the em.

fontTools reads the outlines, so no text is laid out and no font engine or system font is used.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path


def font_drawings(path: Path, codes: Mapping[str, int]) -> dict[str, str]:
    """Return the SVG text of the glyphs of a font file.

    codes: code point by name; the names whose code point has no glyph are left out.
    """
    from fontTools.pens.svgPathPen import SVGPathPen
    from fontTools.ttLib import TTFont

    drawings = {}
    with _quiet(), TTFont(path, lazy=True) as font:
        glyphs, glyph_of = font.getGlyphSet(), font.getBestCmap()
        top, bottom = font["hhea"].ascent, font["hhea"].descent
        for name, code in codes.items():
            if code not in glyph_of:
                continue
            glyph = glyphs[glyph_of[code]]
            pen = SVGPathPen(glyphs)
            glyph.draw(pen)
            drawings[name] = (
                f'<svg xmlns="http://www.w3.org/2000/svg" '
                f'viewBox="0 {-top} {glyph.width} {top - bottom}">'
                f'<path transform="scale(1 -1)" d="{pen.getCommands()}"/></svg>'
            )
    return drawings


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without fontTools' warnings: these fonts have stray bytes in tables of names and dates."""
    log = logging.getLogger("fontTools")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
