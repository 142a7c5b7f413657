"""Classes with all their drawings: ``python -m dmlbench_icons.picture FILE NAME...``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from dmlbench_icons.dataset import read_classes
from dmlbench_icons.render import render
from dmlbench_icons.sets import read_all

_SIDE = 48
_GAP = 6
_LABEL = 92
_PER_ROW = 17
_GREYS = 16


def picture(names: Sequence[str]) -> Image.Image:
    """Draw rows per class, its name at the left. Raises `KeyError` for an unknown name."""
    classes, drawings = read_classes(), read_all()
    step = _SIDE + _GAP
    rows = [
        (name if start == 0 else "", classes[name][start : start + _PER_ROW])
        for name in names
        for start in range(0, len(classes[name]), _PER_ROW)
    ]
    sheet = Image.new("L", (_LABEL + _PER_ROW * step, len(rows) * step + _GAP), 255)
    pen = ImageDraw.Draw(sheet)
    for row, (name, owned) in enumerate(rows):
        top = _GAP + row * step
        pen.text((_GAP, top + _SIDE // 2 - 5), name, fill=0)
        for column, drawing in enumerate(owned):
            image = Image.fromarray(np.ascontiguousarray(render(drawings[drawing], _SIDE)))
            sheet.paste(image, (_LABEL + column * step, top))
    return sheet.quantize(_GREYS)


def main() -> None:
    """Write the picture as a PNG file."""
    parser = argparse.ArgumentParser(prog="dmlbench_icons.picture", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("names", nargs="+", metavar="name")
    given = parser.parse_args()
    picture(given.names).save(given.file, "PNG", optimize=True)


if __name__ == "__main__":
    main()
