"""Image files that were read as other pixels than they hold, or left out without a reason."""

from __future__ import annotations

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dmlbench.data.images import DatasetError
from dmlbench.data.rgb import decode_image
from dmlbench.datasets.folder import Folder

SIZE = 64
RAMP = np.tile(np.arange(SIZE) * 1000, (SIZE, 1)).astype(np.uint16)
UPPER = (RAMP >> 8).astype(np.uint8)
SQUARE = np.zeros((SIZE, SIZE), np.uint8)
SQUARE[16:48, 16:48] = 255


def _encoded(image: Image.Image, form: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _with_chunk(png: bytes, kind: bytes, content: bytes, checksum_error: int) -> bytes:
    checksum = zlib.crc32(kind + content) ^ checksum_error
    chunk = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
    return png[:33] + chunk + png[33:]  # behind the header


@pytest.mark.parametrize("form", ["PGM", "PNG", "TIFF"])
def test_row_04_sixteen_bits_keep_their_upper_eight(form: str) -> None:
    if form == "PGM":
        data = b"P5\n64 64\n65535\n" + RAMP.astype(">u2").tobytes()
    else:
        data = _encoded(Image.fromarray(RAMP), form)
    assert (decode_image(data, SIZE) == UPPER).all()


def test_row_04_sixteen_bits_of_colour_keep_their_upper_eight() -> None:
    colour = np.repeat(RAMP[:, :, None], 3, axis=2).astype(">u2").tobytes()
    decoded = decode_image(b"P6\n64 64\n65535\n" + colour, SIZE).astype(int)
    assert (abs(decoded - UPPER) <= 1).all()  # Pillow rounds where there are three channels


def _transparent(mode: str) -> bytes:
    """A black square on a transparent ground."""
    if mode in ("RGBA", "LA"):
        return _encoded(
            Image.merge(
                mode, [Image.new("L", (SIZE, SIZE))] * (len(mode) - 1) + [Image.fromarray(SQUARE)]
            )
        )
    image = Image.fromarray(np.where(SQUARE, 0, 7).astype(np.uint8))
    if mode == "P":
        image.putpalette([0, 0, 0] * 256)
    if mode == "RGB":
        return _encoded(image.convert("RGB"), transparency=(7, 7, 7))
    return _encoded(image, transparency=7)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "RGB"])
def test_row_05_transparency_is_composed_on_white(mode: str) -> None:
    assert (decode_image(_transparent(mode), SIZE) == 255 - SQUARE).all()


@pytest.mark.parametrize(
    "kind, name",
    [(np.float32, "floating-point"), (np.int32, "32-bit or signed integer")],
)
def test_pixels_without_a_known_range_are_refused(kind, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        decode_image(_encoded(Image.fromarray(RAMP.astype(kind)), "TIFF"), SIZE)


def test_twelve_bits_keep_their_upper_eight() -> None:
    twelve = np.minimum(RAMP >> 4, 4095)
    words = twelve.reshape(-1, 2).astype(np.uint32)
    pairs = (words[:, 0] << 12) | words[:, 1]
    packed = np.stack([pairs >> 16, (pairs >> 8) & 255, pairs & 255], 1).astype(np.uint8).tobytes()
    fields = {256: SIZE, 257: SIZE, 258: 12, 259: 1, 262: 1, 273: 8, 277: 1, 278: SIZE}
    fields[279] = len(packed)
    header = b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed
    directory = struct.pack("<H", len(fields)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(fields.items())
    )
    tiff = header + directory + struct.pack("<I", 0)
    assert (decode_image(tiff, SIZE) == UPPER).all()


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"MM\0*\0\0\0\x08\0\x01", b"II*\0\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("checksum_error", [0, 1])
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_row_29_damaged_exif_keeps_the_pixels(content: bytes, checksum_error: int) -> None:
    png = _with_chunk(_encoded(Image.fromarray(SQUARE)), b"eXIf", content, checksum_error)
    assert (decode_image(png, SIZE) == SQUARE).all()


def _classes(root, content: bytes, classes: int = 4) -> None:
    for name in "abcd"[:classes]:
        (root / name).mkdir(parents=True)
        for number in range(2):
            (root / name / f"{number}.png").write_bytes(content)


def test_row_28_lfs_pointers_are_named_as_the_reason(tmp_path) -> None:
    _classes(tmp_path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DatasetError, match="none of the .* could be decoded: .*git lfs pull"):
        Folder(root=str(tmp_path), image_size=8)


def test_row_22_a_pipe_is_left_out_with_its_reason(tmp_path) -> None:
    _classes(tmp_path, _encoded(Image.fromarray(SQUARE)))
    os.mkfifo(tmp_path / "a" / "x.png")
    report = Folder(root=str(tmp_path), image_size=8).report
    assert any("a/x.png (no regular file)" in line for line in report)
