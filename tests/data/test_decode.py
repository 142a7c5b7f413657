"""Image files to squares: what becomes of the pixels, and when files are decoded again."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from dmlbench.data import decode
from dmlbench.data.decode import decode_files, decode_image


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLBENCH_CACHE", str(tmp_path / "cache"))


def encoded(pixels, kind="PNG", mode=None, **options):
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def gradient(height, width):
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, x + y], axis=2).astype(np.uint8)


def test_an_image_of_the_size_is_unchanged():
    pixels = gradient(12, 12)
    assert np.array_equal(decode_image(encoded(pixels), 12), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"), [(8, 20, (0, 8), (6, 14)), (20, 8, (6, 14), (0, 8))]
)
def test_the_middle_square_is_kept(height, width, rows, columns):
    pixels = gradient(height, width)
    middle = pixels[slice(*rows), slice(*columns)]
    assert np.array_equal(decode_image(encoded(pixels), 8), middle.transpose(2, 0, 1))


def test_shrinking_averages_over_all_pixels():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    shrunk = decode_image(encoded(np.repeat(board[..., None], 3, 2).astype(np.uint8)), 8)
    assert abs(shrunk[:, 1:-1, 1:-1].astype(int) - 127).max() <= 8


def test_the_orientation_of_the_camera_is_applied():
    pixels = gradient(8, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: shown, the image is turned clockwise
    turned = decode_image(encoded(pixels, exif=exif), 8)
    assert np.array_equal(turned.transpose(1, 2, 0), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_any_mode_becomes_rgb(mode):
    data = encoded(30 * gradient(8, 8), "TIFF" if mode == "CMYK" else "PNG", mode)
    image = decode_image(data, 4)
    assert image.shape == (3, 4, 4) and image.dtype == np.uint8 and image.max() > 0


def test_sixteen_bits_are_scaled_and_not_cut_off():
    deep = np.full((8, 8), 32768, np.uint16)
    assert (decode_image(encoded(deep), 8) == 128).all()


def files(folder, count=3):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{i}.png" for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes(encoded(np.full((6, 6, 3), i, np.uint8)))
    return paths


def test_files_are_decoded_once(tmp_path, monkeypatch):
    paths = files(tmp_path / "a")
    first = decode_files("toy", tmp_path / "a", paths, 6)
    monkeypatch.setattr(decode, "_decode", None)
    again = decode_files("toy", tmp_path / "a", paths, 6)
    assert isinstance(again.images, np.memmap)
    assert [int(i.max()) for i in again.images] == [0, 1, 2]
    assert np.array_equal(first.images, again.images) and first.sha256 == again.sha256
    monkeypatch.chdir(tmp_path)  # the same folder by another name
    decode_files(
        "toy", (tmp_path / "a").relative_to(tmp_path), [p.relative_to(tmp_path) for p in paths], 6
    )


@pytest.mark.parametrize("how", ["time", "size", "added", "removed"])
def test_a_changed_file_is_noticed(tmp_path, how):
    paths = files(tmp_path / "a")
    decode_files("toy", tmp_path / "a", paths, 6)
    if how in ("time", "size"):
        before = paths[1].stat()
        side = 6 if how == "time" else 60
        paths[1].write_bytes(encoded(np.full((side, side, 3), 99, np.uint8)))
        if how == "size":
            os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
        else:
            os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns + 1))
        expected = [0, 99, 2]
    elif how == "added":
        paths = files(tmp_path / "a", 4)
        expected = [0, 1, 2, 3]
    else:
        paths, expected = paths[:2], [0, 1]
    again = decode_files("toy", tmp_path / "a", paths, 6)
    assert [int(i.max()) for i in again.images] == expected
    # The outdated images are replaced, not kept beside.
    assert len(list((tmp_path / "cache" / "toy").iterdir())) == 1


def test_other_sizes_and_other_folders_have_entries_of_their_own(tmp_path):
    for root, size in (("a", 6), ("a", 4), ("b", 6)):
        decode_files("toy", tmp_path / root, files(tmp_path / root), size)
    assert len(list((tmp_path / "cache" / "toy").iterdir())) == 3


def test_files_that_cannot_be_decoded_are_named_with_the_reason(tmp_path):
    paths = files(tmp_path / "a", 6)
    whole = encoded(np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8))
    paths[1].write_bytes(b"")
    paths[2].write_bytes(whole[: len(whole) // 2])
    paths[3].write_bytes(b"<html>404</html>")
    paths[4].unlink()
    for _ in range(2):  # decoded, then from the cache
        found = decode_files("toy", tmp_path / "a", paths, 6)
        assert sorted(found.failures) == [1, 2, 3, 4]
        assert found.failures[1] == "the file is empty"
        assert "truncated" in found.failures[2]
        assert found.failures[3] == "not an image"
        assert found.failures[4] == "No such file or directory"
        assert not any(" at 0x" in why for why in found.failures.values())
        assert found.images[[1, 2, 3, 4]].max() == 0 and found.images[5].max() == 5
        assert found.sha256[4] == "" and len(found.sha256[1]) == 64


def test_more_files_than_fit_a_chunk_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_CHUNK", 4)
    found = decode_files("toy", tmp_path / "a", files(tmp_path / "a", 11), 6)
    assert [int(i.max()) for i in found.images] == list(range(11))
