"""Outlines read here against those that fontTools reads."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest

from dmlbench.datasets.truetype import UNITS, Font

pens = pytest.importorskip("fontTools.pens.areaPen")
boundsPen = pytest.importorskip("fontTools.pens.boundsPen")
ttLib = pytest.importorskip("fontTools.ttLib")

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.mark.parametrize(
    "name", ["DejaVuSans.ttf", "DejaVuSerif-BoldItalic.ttf", "DejaVuSansMono-Bold.ttf"]
)
def test_outlines_are_those_of_fonttools(name):
    ours, theirs = Font(FONTS / name), ttLib.TTFont(FONTS / name)
    names = theirs.getBestCmap()
    assert {c for c, glyph in ours.glyph_of.items() if glyph} == set(names)
    glyphs = theirs.getGlyphSet()
    codes = list(names)[:: max(1, len(names) // 150)]
    composite = [c for c, glyph in names.items() if theirs["glyf"][glyph].isComposite()]
    assert len(composite) > 100
    # d with caron: in Mono Bold its caron is that of l, scaled
    for code in [*codes, *composite[::50], 0x10F]:
        segments = ours.segments(code) / UNITS
        bounds, area = boundsPen.BoundsPen(glyphs), pens.AreaPen(glyphs)
        glyphs[names[code]].draw(bounds)
        glyphs[names[code]].draw(area)
        if bounds.bounds is None:
            assert segments.shape == (0, 4)
            continue
        x0, y0, x1, y1 = segments.T
        box = [x0.min(), y0.min(), x0.max(), y0.max()]
        # A curve's highest point may lie between the ends of its straight pieces.
        assert np.allclose(box, bounds.bounds, atol=3), (chr(code), box, bounds.bounds)
        ink = (x0 * y1 - x1 * y0).sum() / 2
        assert abs(ink - area.value) <= 0.01 * abs(area.value) + 100, chr(code)


def test_a_font_without_a_full_character_map():
    with pytest.raises(ValueError, match="no character map for all of Unicode"):
        Font(FONTS / "cmr10.ttf")


def test_contours_are_closed_and_in_integers():
    segments = Font(FONTS / "DejaVuSans.ttf").segments(ord("8"))
    assert segments.dtype == np.int64
    ends = {tuple(p) for p in segments[:, 2:].tolist()}
    assert ends == {tuple(p) for p in segments[:, :2].tolist()}
