"""Batches of stored images (uint8) to network inputs (float), augmented on the way.

Legend: B images a batch, C channels (1 or 3), H and W pixels. Geometry works on the bytes, before
a grey image is spread over three channels. Random numbers are drawn from an explicit generator;
with one on the CPU the same batch comes out whatever the device of the images.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmlbench.data import devices
from dmlbench.data.augmentations import check_augmentation
from dmlbench.errors import UsageError


class TestTransform:
    """Centre crop, then normalise: (B, C, H, W) uint8 -> (B, 3, size, size) float32.

    size: pixels a side; images may be larger but not smaller.
    mean, std: per channel, of values between 0 and 1.
    channels_last: memory format of the output.
    """

    __test__ = False  # pytest takes it for a test by its name

    def __init__(
        self,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = False,
    ) -> None:
        self.size = size
        # (x / 255 - mean) / std as one multiplication and one addition
        self._scale = torch.tensor([1 / (255 * s) for s in std]).view(-1, 1, 1)
        self._bias = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(-1, 1, 1)
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def __call__(self, images: Tensor, covered: Tensor | None = None) -> Tensor:
        """covered: (B, 2) height and width of each image in `images`, where it does not fill it."""
        return self._normalise(centre_crop(images, self.size, covered))

    def _normalise(self, images: Tensor) -> Tensor:
        self._scale, self._bias = self._scale.to(images.device), self._bias.to(images.device)
        spread = images.expand(-1, len(self._scale), -1, -1)  # (B, 3, H, W)
        # Reordering bytes, then working in place, takes two thirds of the time of floats first.
        values = spread.contiguous(memory_format=self._format).float()
        return values.mul_(self._scale).add_(self._bias)


class TrainTransform(TestTransform):
    """Augment, centre crop where still larger, normalise.

    augment: steps in order, each a mapping with a ``name`` of `AUGMENTATIONS` and its
        parameters, such as ``{"name": "shift", "pixels": 2}``.
    size, mean, std, channels_last: as for `TestTransform`.
    Raises `UsageError` for an unknown step or parameter.
    """

    def __init__(
        self,
        augment: Sequence[Mapping[str, Any]],
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        channels_last: bool = False,
    ) -> None:
        super().__init__(size, mean, std, channels_last)
        self._steps = [_bind(step, size) for step in augment]

    def __call__(
        self, images: Tensor, generator: torch.Generator, covered: Tensor | None = None
    ) -> Tensor:
        """covered: as for `TestTransform`. A random crop as the first step sees whole images."""
        steps = self._steps
        if covered is not None:
            if steps and steps[0].func is random_resized_crop:
                images = steps[0](images, generator=generator, covered=covered)
                steps = steps[1:]
            else:
                images = centre_crop(images, int(covered.min()), covered)
        for step in steps:
            images = step(images, generator=generator)
        return super().__call__(images)


def batch_of(images: Any, index: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The stored images at `index` (B,) on a device, (B, C, H, W) uint8, and what they cover.

    As `stored_at`, of which the second stays on the CPU.
    """
    stored, covered = stored_at(images, index)
    return devices.to_device(stored, device), covered


def stored_at(images: Any, index: np.ndarray) -> tuple[Tensor, Tensor | None]:
    """The stored images at `index` (B,), (B, C, H, W) uint8, and what they cover.

    images: what an `ImageSet` holds as images.
    The second is (B, 2) int64, height and width of each image in the batch, or None where every
    image fills it.
    """
    stored = torch.from_numpy(np.ascontiguousarray(images[index]))
    sizes = getattr(images, "sizes", None)
    return stored, None if sizes is None else torch.from_numpy(sizes[index])


def centre_crop(images: Tensor, size: int, covered: Tensor | None = None) -> Tensor:
    """Return the middle `size` × `size` pixels of each image (B, C, H, W).

    covered: (B, 2) height and width of each image, which is at the top left; None: all of it.
    """
    if covered is not None:
        sides = zip(images, covered.tolist(), strict=True)
        return torch.cat([centre_crop(one[None, :, :h, :w], size) for one, (h, w) in sides])
    height, width = images.shape[-2:]
    if height < size or width < size:
        raise UsageError(
            f"Images of {height} × {width} pixels cannot be cropped to {size} × {size}. "
            f"Set `--set recipe.input.resize=N` with N at least {size}."
        )
    top, left = (height - size) // 2, (width - size) // 2
    return images[..., top : top + size, left : left + size]


def shift(images: Tensor, *, pixels: int = 2, generator: torch.Generator) -> Tensor:
    """Move each image by up to `pixels` in each direction; the edge is mirrored in."""
    batch, _, height, width = images.shape
    if not 0 <= pixels < min(height, width):
        raise UsageError(f"shift: pixels must be from 0 to {min(height, width) - 1}, not {pixels}.")
    device = images.device
    rows = _mirrored(height, pixels, device)
    columns = _mirrored(width, pixels, device)
    padded = images[:, :, rows][..., columns]  # (B, C, H + 2p, W + 2p)
    tops, lefts = _integers(2 * pixels + 1, (2, batch), generator).to(device)
    # Every shift of every image as a view (B, C, 2p + 1, 2p + 1, H, W); one of each is copied.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(batch, device=device), :, tops, lefts]


def flip(images: Tensor, *, probability: float = 0.5, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with `probability`."""
    chosen = _uniform((len(images), 1, 1, 1), generator) < probability
    return torch.where(chosen.to(images.device), images.flip(3), images)


def random_resized_crop(
    images: Tensor,
    *,
    size: int,
    scale: Sequence[float] = (0.08, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    generator: torch.Generator,
    covered: Tensor | None = None,
) -> Tensor:
    """Cut a box of random area and shape from each image and resize it to `size` × `size`.

    scale: smallest and largest share of the image's area.
    ratio: smallest and largest width over height.
    covered: (B, 2) height and width of each image, which is at the top left; None: all of it.
    The resize is bilinear with antialiasing: its triangle widens where a box is larger than `size`.
    """
    if not 0 < scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
        raise UsageError(
            "random_resized_crop: scale must be two ascending shares up to 1 and ratio two "
            f"ascending positive numbers, not {tuple(scale)} and {tuple(ratio)}."
        )
    if covered is None:
        height, width = (torch.full((len(images),), side) for side in images.shape[2:])
        covered = torch.stack([height, width], dim=1)
    boxes = _boxes(covered, scale, ratio, generator)  # (B, 4): top, left, height, width
    if devices.reads_wait(images.device):
        return _resize_together(images, devices.to_device(boxes, images.device), size)
    # On a CPU the resize of one byte image is many times faster than products of dense matrices.
    crops = [
        F.interpolate(
            image[None, :, top : top + height, left : left + width],
            (size, size),
            mode="bilinear",
            antialias=True,
        )
        for image, (top, left, height, width) in zip(images, boxes.tolist(), strict=True)
    ]
    return torch.cat(crops)


def color_jitter(
    images: Tensor,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    generator: torch.Generator,
) -> Tensor:
    """Multiply brightness, then contrast, then saturation by a factor from 1 ± the value.

    Contrast is the distance from the image's mean grey, saturation that from each pixel's grey.
    """
    draws = _uniform((3, len(images), 1, 1, 1), generator).to(images.device)
    amounts = (brightness, contrast, saturation)
    factors = [  # (B, 1, 1, 1) each
        (1 + (2 * draw - 1) * amount).clamp_min(0)
        for draw, amount in zip(draws, amounts, strict=True)
    ]
    values = (images.float() * factors[0]).clamp(0, 255)
    mean = _grey(values).mean((2, 3), keepdim=True)  # (B, 1, 1, 1)
    values = (mean + (values - mean) * factors[1]).clamp(0, 255)
    grey = _grey(values)  # (B, 1, H, W)
    values = (grey + (values - grey) * factors[2]).clamp(0, 255)
    return values.round().to(torch.uint8)


_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function for function in (shift, flip, random_resized_crop, color_jitter)
}


def _bind(step: Mapping[str, Any], size: int) -> Callable[..., Tensor]:
    """Return the augmentation that `step` names with its parameters in place."""
    check_augmentation(step)
    params = dict(step)
    name = params.pop("name")
    if name == "random_resized_crop":
        params["size"] = size
    return partial(_FUNCTIONS[name], **params)


def _mirrored(length: int, pixels: int, device: torch.device) -> Tensor:
    """Return the indices 0..length-1 with `pixels` mirrored ones at either end: 2 1 0 1 2 ..."""
    index = torch.arange(-pixels, length + pixels, device=device).abs()
    return (length - 1) - ((length - 1) - index).abs()


def _boxes(
    sizes: Tensor, scale: Sequence[float], ratio: Sequence[float], generator: torch.Generator
) -> Tensor:
    """Draw boxes (B, 4) of top, left, height, width in pixels, inside images of sizes (B, 2)."""
    height, width = devices.to_device(sizes, generator.device).double().unbind(1)
    area, shape_draw, top, left = _uniform((4, len(sizes)), generator).double()
    area = height * width * (scale[0] + area * (scale[1] - scale[0]))
    low, high = math.log(ratio[0]), math.log(ratio[1])
    aspect = (low + shape_draw * (high - low)).exp()  # width over height
    # A box that would stick out is narrowed in its shape, not in its area, until it fits.
    aspect = torch.minimum(torch.maximum(aspect, area / height**2), width**2 / area)
    heights = (area / aspect).sqrt().round().clamp_min(1).minimum(height)
    widths = (area * aspect).sqrt().round().clamp_min(1).minimum(width)
    tops = (top * (height - heights + 1)).floor().minimum(height - heights)
    lefts = (left * (width - widths + 1)).floor().minimum(width - widths)
    return torch.stack([tops, lefts, heights, widths], dim=1).long()


def _resize_together(images: Tensor, boxes: Tensor, size: int) -> Tensor:
    """Resize boxes (B, 4) of images at once: the resize is one matrix by rows, one by columns."""
    top, left, height, width = boxes.float().unbind(1)
    rows = _weights(top, height, images.shape[2], size)  # (B, size, H)
    columns = _weights(left, width, images.shape[3], size)  # (B, size, W)
    resized = rows[:, None] @ images.float() @ columns[:, None].transpose(2, 3)
    return resized.round().clamp(0, 255).to(torch.uint8)


def _weights(start: Tensor, length: Tensor, pixels: int, size: int) -> Tensor:
    """Return the antialiased bilinear weights (B, size, pixels) of `length` pixels from `start`."""
    device = start.device
    step = (length / size)[:, None, None]  # stored pixels per output pixel
    centre = (torch.arange(size, device=device) + 0.5)[:, None] * step  # (B, size, 1)
    offset = torch.arange(pixels, device=device) + 0.5 - start[:, None, None]  # (B, 1, pixels)
    weights = (1 - (offset - centre).abs() / step.clamp_min(1)).clamp_min(0)
    inside = (offset > 0) & (offset < length[:, None, None])
    weights = weights * inside
    return weights / weights.sum(2, keepdim=True)


def _grey(values: Tensor) -> Tensor:
    """Return the luma (B, 1, H, W) of ITU-R BT.601."""
    if values.shape[1] == 1:
        return values
    return (values * _luma(values.dtype, values.device)).sum(1, True)


@functools.cache
def _luma(dtype: torch.dtype, device: torch.device) -> Tensor:
    """The shares (1, 3, 1, 1) of red, green and blue, sent to a device once."""
    return torch.tensor([0.299, 0.587, 0.114], dtype=dtype, device=device).view(1, 3, 1, 1)


def _uniform(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _integers(below: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randint(below, shape, generator=generator, device=generator.device)
