"""The bytes of an image file to RGB, by Pillow.

What a picture becomes is part of every dataset: a change of the pixels raises `decode.DECODING`.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dmlbench.files import MACHINE_ERRNOS

PNG = b"\x89PNG\r\n\x1a\n"
"""What a PNG begins with."""


def decode_image(data: bytes, size: int | tuple[int, int]) -> np.ndarray:
    """Decode one image, RGB, (3, height, width) uint8.

    size: height and width, or one number for both. The largest box of that shape in the middle of
        the image is resized to it.
    The camera's orientation (EXIF) is applied, unless the EXIF data are damaged. Transparency is
    composed on white. Of 12 or 16 bits the upper 8 are kept. Floating-point, 32-bit and signed
    pixels are refused, because their range is not known. The resize is bilinear with antialiasing.
    Raises whatever Pillow raises where it cannot.
    """
    try:
        opened = Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        # A wrong checksum of its EXIF data alone makes Pillow refuse a PNG.
        rest = _png_without_exif(data)
        if rest == data:
            raise
        opened = Image.open(io.BytesIO(rest))
    with opened:
        image = upright_rgb(opened)
    return resized(image, (size, size) if isinstance(size, int) else size)


def upright_rgb(opened: Image.Image) -> Image.Image:
    """A picture in RGB, turned as its camera says. Raises whatever Pillow raises."""
    return _to_rgb(_upright(opened), _bits(opened))


def resized(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    """The largest middle box of the shape of `size`, resized to it, (3, height, width) uint8."""
    height, width = size
    scale = min(image.height / height, image.width / width)
    # Rounding may make the box a hair larger than the image, which Pillow refuses.
    box_width, box_height = min(width * scale, image.width), min(height * scale, image.height)
    left, top = (image.width - box_width) / 2, (image.height - box_height) / 2
    scaled = image.resize(
        (width, height),
        Image.Resampling.BILINEAR,
        box=(left, top, left + box_width, top + box_height),
    )
    return np.asarray(scaled).transpose(2, 0, 1)


def raise_if_of_machine(error: Exception) -> None:
    """Raise again what says nothing of a file: a cache would keep it for ever."""
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, OSError) and error.errno in MACHINE_ERRNOS:
        raise error


def _png_without_exif(data: bytes) -> bytes:
    if not data.startswith(PNG):
        return data
    kept, start = [PNG], len(PNG)
    while start < len(data):
        # A chunk is its length, its type, its content and a checksum.
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if data[start + 4 : start + 8] != b"eXIf":
            kept.append(data[start:end])
        start = end
    return b"".join(kept)


def _upright(opened: Image.Image) -> Image.Image:
    # The pixels first: what is wrong with them is no fault of the EXIF data.
    opened.load()
    try:
        return ImageOps.exif_transpose(opened)
    except Exception as error:  # damaged EXIF data make Pillow raise nearly anything
        raise_if_of_machine(error)
        return opened.copy()


def _bits(opened: Image.Image) -> int | None:
    """How many bits the grey values of an image of mode "I" or "I;16" have; None if unknown."""
    if opened.format == "TIFF":
        (bits, *_), (sign, *_) = (opened.tag_v2.get(tag, (1,)) for tag in (258, 339))
        return bits if bits <= 16 and sign == 1 else None
    # In a PNG or a PPM, "I" holds 16 bits.
    return 16 if opened.mode != "I" or opened.format in ("PNG", "PPM") else None


def _to_rgb(image: Image.Image, bits: int | None) -> Image.Image:
    """The image in RGB. bits: of its grey values, where there are more than 8."""
    if image.mode == "F" or (image.mode == "I" and bits is None):
        kind = "floating-point" if image.mode == "F" else "32-bit or signed integer"
        raise ValueError(f"{kind} pixels have no range that is known; save them as 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        # Converted by Pillow itself, 16 bits would be cut off at 255.
        values = np.asarray(image).clip(0, 2**16 - 1)
        image = Image.fromarray((values >> ((bits or 16) - 8)).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")
