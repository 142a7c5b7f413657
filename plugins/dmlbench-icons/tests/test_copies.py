"""What counts as a copy of a drawing."""

from __future__ import annotations

import numpy as np
import pytest
from dmlbench_icons.choosing.__main__ import COPY, SAME
from dmlbench_icons.choosing.copies import close_pairs, distances, edges


def disc(radius, sign="", shift=(0, 0)):
    """A filled circle with a sign cut out of it, (64, 64) uint8."""
    down, right = np.mgrid[:64, :64] - 31.5
    down, right = (down - shift[0]) / radius, (right - shift[1]) / radius
    ink = down**2 + right**2 <= 1
    if sign:
        ink &= ~((abs(down) < 0.15) & (abs(right) < 0.6))
    if sign == "plus":
        ink &= ~((abs(right) < 0.15) & (abs(down) < 0.6))
    return np.where(ink, 0, 255).astype(np.uint8)


def pairs(*images):
    return [(i, j) for i, j, _ in close_pairs(np.stack([edges(im) for im in images]), COPY)]


def test_a_moved_and_scaled_drawing_is_a_copy():
    assert pairs(disc(30, "plus"), disc(24, "plus", (5, -6))) == [(0, 1)]


def test_another_sign_in_a_filled_circle_is_further_than_another_size():
    plus, smaller, minus, none = map(
        edges, (disc(30, "plus"), disc(24, "plus", (5, -6)), disc(30, "minus"), disc(30))
    )
    size, sign, empty = distances(np.stack([plus] * 3), np.stack([smaller, minus, none]))
    assert 0 < size < sign < empty
    assert sign > SAME  # in two classes they are two pictures


def test_an_outline_is_no_copy_of_the_filled_shape():
    outline = np.where(disc(24) < 128, 255, disc(30)).astype(np.uint8)
    assert pairs(disc(30), outline) == []


def test_a_drawing_without_ink_has_no_edges():
    assert not edges(np.full((64, 64), 255, np.uint8)).any()


@pytest.mark.parametrize("shape", [(64, 8), (8, 64)])
def test_proportions_are_kept(shape):
    bar = np.full((64, 64), 255, np.uint8)
    bar[: shape[0], : shape[1]] = 0
    height, width = (np.ptp(np.nonzero(edges(bar) > 0.1)[axis]) for axis in (0, 1))
    assert (height > 2 * width) == (shape == (64, 8))
