"""Image files to squares: what becomes of the pixels, and when files are decoded again."""

import errno
import io
import os

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from dmlbench.data import decode
from dmlbench.data.decode import decode_files
from dmlbench.data.rgb import decode_image, resized
from dmlbench.data.subset import ImageView
from dmlbench.data.whole import WholeImages, stored_size


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


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.ESTALE])
@pytest.mark.parametrize("whole", [False, True])
def test_an_error_of_the_machine_is_raised_and_not_kept(number, whole, tmp_path, monkeypatch):
    """Kept, it would leave images out of every later run, or make squares of them."""
    paths = files(tmp_path / "a", 3)
    check = decode._check_regular

    def refuse(path):
        if path == paths[1]:
            raise OSError(number, os.strerror(number), str(path))
        check(path)

    monkeypatch.setattr(decode, "_check_regular", refuse)
    with pytest.raises(OSError, match=os.strerror(number)):
        decode_files("toy", tmp_path / "a", paths, 6, whole=whole)
    monkeypatch.setattr(decode, "_check_regular", check)
    found = decode_files("toy", tmp_path / "a", paths, 6, whole=whole)
    assert found.failures == {} and all(found.sha256)


def test_a_file_that_may_not_be_read_is_left_out_by_name(tmp_path, monkeypatch):
    paths = files(tmp_path / "a", 2)

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(decode, "_check_regular", refuse)
    found = decode_files("toy", tmp_path / "a", paths, 6)
    assert found.failures == {0: "Permission denied", 1: "Permission denied"}


def test_more_files_than_fit_a_chunk_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_CHUNK", 4)
    found = decode_files("toy", tmp_path / "a", files(tmp_path / "a", 11), 6)
    assert [int(i.max()) for i in found.images] == list(range(11))


def test_whole_images_keep_their_ends(tmp_path):
    """Of each shape, upright or turned by the camera, beside what is no image and a pipe."""
    exif = Image.Exif()
    exif[0x0112] = 6
    wide, tall = gradient(8, 20), gradient(24, 8)
    (tmp_path / "a.png").write_bytes(encoded(wide))
    (tmp_path / "b.png").write_bytes(encoded(wide, exif=exif))
    (tmp_path / "c.png").write_bytes(b"no image")
    (tmp_path / "d.png").write_bytes(encoded(tall))
    os.mkfifo(tmp_path / "e.png")
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png", "d.png", "e.png")]
    for _ in range(2):  # decoded, then from the cache
        files = decode_files("tiny", tmp_path, paths, 8, whole=True)
        assert files.images.sizes.tolist() == [[8, 20], [20, 8], [8, 8], [24, 8], [8, 8]]
        assert list(files.failures) == [2, 4]
        a, b, c, d = (files.images[np.array([i])][0].transpose(1, 2, 0) for i in range(4))
        assert np.array_equal(a, wide) and np.array_equal(b, np.rot90(wide, -1))
        assert not c.any() and np.array_equal(d, tall)
    padded = files.images[np.array([0, 3])]
    assert padded.shape == (2, 3, 24, 20) and not padded[0, :, 8:].any()
    assert np.array_equal(padded[1, :, :, :8].transpose(1, 2, 0), tall)
    assert ImageView(files.images, np.array([3, 1])).sizes.tolist() == [[24, 8], [20, 8]]
    squares = decode_files("tiny", tmp_path, paths, 8)
    assert squares.images.shape == (5, 3, 8, 8)  # beside it, in a store of its own


@pytest.mark.parametrize("place", ["nowhere", "in front of the pixels", "behind the pixels"])
def test_the_size_of_a_png_is_known_from_its_header(place, tmp_path, monkeypatch):
    """It is decoded only if it says something of itself behind its pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(8, 20), **({} if place == "nowhere" else {"exif": exif}))
    if place == "behind the pixels":
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        last = data.index(b"IEND") - 4
        data = data[:start] + data[end:last] + data[start:end] + data[last:]
    (tmp_path / "a.png").write_bytes(data)
    load, loaded = PngImageFile.load, []
    monkeypatch.setattr(PngImageFile, "load", lambda image: loaded.append(1) or load(image))
    size = decode._whole_size(tmp_path / "a.png", 8)
    assert size == ((8, 20) if place == "nowhere" else (20, 8))
    assert bool(loaded) == (place == "behind the pixels")


def test_the_middle_of_a_whole_image_is_the_middle_square():
    data = encoded(gradient(97, 160))
    whole = decode_image(data, stored_size(97, 160, 32))
    square = decode_image(data, 32)
    left = (whole.shape[2] - 32) // 2
    assert whole.shape == (3, 32, 53)
    middle = whole[:, :, left : left + 32].astype(int)
    assert np.abs(middle - square).max() <= 2  # shifted by half a pixel at most


def test_a_whole_image_of_any_size_is_decoded():
    """Rounding once made the box of one size in 75 a hair larger than the image."""
    for height in range(20, 90, 3):
        for width in range(20, 90):
            image = Image.new("RGB", (width, height))
            size = stored_size(height, width, 20)
            assert resized(image, size).shape == (3, *size)


def test_a_very_long_image_is_cut_to_three_short_sides():
    assert stored_size(10, 500, 16) == (16, 48) and stored_size(500, 10, 16) == (48, 16)
    assert decode_image(encoded(gradient(10, 200)), (16, 48)).shape == (3, 16, 48)


def test_a_batch_of_no_whole_images_is_empty():
    images = WholeImages(np.zeros(0, np.uint8), np.zeros((0, 2), np.int64))
    assert len(images) == 0 and len(images[np.zeros(0, np.int64)]) == 0
