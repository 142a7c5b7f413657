"""Images of one short side and any long side, and batches of them.

The middle square of a photograph loses the ends of a car. Whole images keep them: a training crop
may be taken anywhere, and a test image is its middle square all the same.
"""

from __future__ import annotations

import numpy as np

MAX_ASPECT = 3
"""The long side is kept up to so many short sides; beyond, the middle is."""


def stored_size(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width in pixels at which an image is stored whole, its short side at `short`."""
    scale = short / min(height, width)
    sides = (round(height * scale), round(width * scale))
    return tuple(min(max(side, short), MAX_ASPECT * short) for side in sides)


class WholeImages:
    """N images of different sizes, which are one after the other in `pixels`.

    pixels: (T,), uint8: each image's (3, H, W) as a row of bytes.
    sizes: (N, 2), int64, the H and W of each.
    """

    def __init__(self, pixels: np.ndarray, sizes: np.ndarray) -> None:
        self.pixels = pixels
        self.sizes = sizes
        self._ends = np.cumsum(3 * sizes[:, 0] * sizes[:, 1])

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: np.ndarray) -> np.ndarray:
        """Images at `index` (n,), (n, 3, H, W) with zeros below and right of smaller ones."""
        sizes = self.sizes[index]
        height, width = sizes.max(axis=0, initial=1)
        out = np.zeros((len(sizes), 3, height, width), dtype=np.uint8)
        for image, end, (h, w) in zip(out, self._ends[index], sizes, strict=True):
            image[:, :h, :w] = self.pixels[end - 3 * h * w : end].reshape(3, h, w)
        return out
