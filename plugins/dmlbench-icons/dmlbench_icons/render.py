"""Drawings to pixels, with resvg: black ink on white, one channel.

resvg draws the same pixels wherever it runs and takes nothing from the system: no icon holds text,
and system fonts are not even loaded.
"""

from __future__ import annotations

import io
import re

import numpy as np
from PIL import Image

_ROOT = re.compile(r"<svg\b[^>]*>", re.DOTALL)
_SIZE = re.compile(r"\s(?:width|height)\s*=\s*(?:\"[^\"]*\"|'[^']*')")
_VIEW_BOX = re.compile(r"\sviewBox\s*=")


def render(svg: str, size: int) -> np.ndarray:
    """Draw an SVG text into a square, without changing its proportions.

    Returns (size, size) uint8: 0 is ink (``currentColor`` is black), 255 is paper.
    Raises `ValueError` for a text that is not an SVG with a view box.
    """
    import resvg_py

    root = _ROOT.search(svg)
    if root is None or not _VIEW_BOX.search(root[0]):
        raise ValueError(f"not an SVG with a viewBox: {svg[:80]!r}")
    opening = _SIZE.sub("", root[0]).replace("<svg", f'<svg width="{size}" height="{size}"', 1)
    png = resvg_py.svg_to_bytes(
        svg_string=svg[: root.start()] + opening + svg[root.end() :],
        background="#ffffff",
        skip_system_fonts=True,
    )
    with Image.open(io.BytesIO(bytes(png))) as image:
        return np.asarray(image.convert("L"))
