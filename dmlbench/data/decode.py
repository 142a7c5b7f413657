"""Image files to RGB images, once: decoded into the cache, read from there afterwards."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image

from dmlbench.data.cache import CacheEntry
from dmlbench.data.rgb import PNG, decode_image, raise_if_of_machine
from dmlbench.data.whole import MAX_ASPECT, WholeImages, stored_size
from dmlbench.files import resolved

# Images with damaged EXIF data are decoded without them; Pillow's word on that names no file.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
DECODING = 3
"""Version of the decoding: any change of the pixels raises it."""

EXTENSIONS = frozenset(".bmp .gif .jfif .jpeg .jpg .pbm .pgm .png .ppm .tif .tiff .webp".split())

_PNG_METADATA = frozenset((b"eXIf", b"iTXt", b"tEXt", b"zTXt"))  # all that may hold EXIF or XMP
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_MOST_BYTES = 1 << 30  # of one file
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap height and width
_CHUNK = 256  # images decoded before they are written

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DecodedFiles:
    """The images of files, in their order.

    images: (N, 3, S, S), uint8, a memory map, or `WholeImages`; zeros where a file could not be
        decoded.
    failures: why, by the index of the file.
    sha256: of the content of each file; "" where it could not be read.
    """

    images: np.ndarray | WholeImages
    failures: dict[int, str]
    sha256: tuple[str, ...]


def decode_files(
    name: str,
    root: Path,
    paths: Sequence[Path],
    image_size: int,
    whole: bool = False,
    **key: Any,
) -> DecodedFiles:
    """Decode files, or take them from the cache if none has changed since.

    A file is unchanged if its size, its times of modification and of change, and its number on
    the disk are. Where only the latter two differ, as in a copy of the folder, or on a file system
    that gives other numbers whenever it is mounted, its content is hashed and compared.

    An error of the machine, such as too many open files or a disk that does not answer, is raised:
    it says nothing of a file, and the cache would keep it.

    name: of the dataset, for the cache.
    root: folder of the dataset; another one has other images.
    paths: the files below `root`, N of them.
    image_size: pixels a side, S.
    whole: keep whole images, the short side at S pixels, instead of their middle squares.
    key: further JSON values that tell lists of files of one root apart.
    """
    files, inodes = hashlib.sha256(), hashlib.sha256()
    for path in paths:
        size, modified, *inode = _state(path)
        files.update(f"{os.fsencode(path.relative_to(root))!r} {(size, modified)}\n".encode())
        inodes.update(f"{inode}\n".encode())
    key = {"root": str(resolved(root)), "image_size": image_size, "decoding": DECODING, **key}
    if whole:
        key["whole"] = MAX_ASPECT
    made_from = {**key, "files": files.hexdigest(), "inodes": inodes.hexdigest()}
    entry = CacheEntry.of(name, made_from, key=key)
    entry.confirm("inodes", lambda notes: _contents(paths) == notes["sha256"])
    found = entry.read()
    if found is None:
        work = _Decoding(name, paths, image_size, whole)
        found = entry.make(work.shape, work.chunks, work.notes)
    images, notes = found
    failures = {int(i): why for i, why in notes["failures"].items()}
    if whole:
        sizes = np.array(notes["sizes"], dtype=np.int64).reshape(-1, 2)
        return DecodedFiles(WholeImages(images, sizes), failures, tuple(notes["sha256"]))
    return DecodedFiles(images, failures, tuple(notes["sha256"]))


class _Decoding:
    """The decoding of a list of files, piece by piece."""

    def __init__(self, name: str, paths: Sequence[Path], image_size: int, whole: bool) -> None:
        self.name, self.paths, self.whole = name, paths, whole
        self.failures: dict[int, str] = {}
        self.hashes: list[str] = []
        if whole:
            with self._pool() as pool:
                found = pool.map(lambda path: _whole_size(path, image_size), paths)
                self.sizes = list(found)
            pixels = sum(3 * height * width for height, width in self.sizes)
            self.shape: tuple[int, ...] = (pixels,)
        else:
            self.sizes = [(image_size, image_size)] * len(paths)
            self.shape = (len(paths), 3, image_size, image_size)

    def chunks(self) -> Iterator[np.ndarray]:
        self.failures.clear()
        self.hashes.clear()
        with self._pool() as pool:
            for start in range(0, len(self.paths), _CHUNK):
                part = slice(start, start + _CHUNK)
                decoded = list(pool.map(_decode, self.paths[part], self.sizes[part]))
                for i, (_, digest, failure) in enumerate(decoded, start):
                    self.hashes.append(digest)
                    if failure:
                        self.failures[i] = failure
                _log.info(
                    "%s: %d of %d images decoded", self.name, len(self.hashes), len(self.paths)
                )
                images = [image for image, _, _ in decoded]
                yield (
                    np.concatenate([i.ravel() for i in images]) if self.whole else np.stack(images)
                )

    def notes(self) -> dict[str, Any]:
        notes = {"failures": self.failures, "sha256": self.hashes}
        return {**notes, "sizes": self.sizes} if self.whole else notes

    @staticmethod
    def _pool() -> ThreadPoolExecutor:
        return ThreadPoolExecutor(min(8, os.cpu_count() or 1))


def decode_file(path: Path, short: int, whole: bool = False) -> tuple[np.ndarray, str]:
    """One file as `decode_files` stores it, without the cache: (3, H, W) uint8, and "".

    short: pixels of the short side. whole: as for `decode_files`.
    Where it cannot be decoded, zeros and the reason.
    """
    image, _, failure = _decode(path, _whole_size(path, short) if whole else (short, short))
    return image, failure


def _whole_size(path: Path, short: int) -> tuple[int, int]:
    """Height and width to store a file's whole image at, from its header; square if unknown."""
    try:
        _check_regular(path)
        with Image.open(path) as image:
            turned = _metadata(image, path).get(ExifTags.Base.Orientation, 1) in _TURNED
            width, height = image.size[::-1] if turned else image.size
            return stored_size(height, width, short)
    except Exception as error:
        raise_if_of_machine(error)
        # Decoding will say what is wrong with it, or read it without its EXIF data.
        return short, short


def _metadata(image: Image.Image, path: Path) -> Image.Exif:
    """What `image.getexif()` gives, without decoding a PNG to look behind its pixels for it."""
    if image.format != "PNG":
        return image.getexif()
    with open(path, "rb") as file:
        types = _png_chunk_types(file)
    pixels = types.index(b"IDAT")
    if _PNG_METADATA.isdisjoint(types[pixels:]):
        return Image.Image.getexif(image)  # Pillow has read all that is before the pixels
    return image.getexif()


def _png_chunk_types(file: BinaryIO) -> list[bytes]:
    """The types of a PNG's chunks, in order, whose content is skipped."""
    types = []
    file.seek(len(PNG))
    while len(head := file.read(8)) == 8:
        types.append(head[4:])
        file.seek(int.from_bytes(head[:4], "big") + 4, os.SEEK_CUR)  # content and checksum
    return types


def _decode(path: Path, size: tuple[int, int]) -> tuple[np.ndarray, str, str]:
    """Return a file's image, the hash of its content, and why it could not be decoded, or ""."""
    digest = ""
    try:
        data = _read(path)
        digest = hashlib.sha256(data).hexdigest()
        if not data:
            raise ValueError("the file is empty")
        if data.startswith(_LFS_POINTER):
            raise ValueError("a Git LFS pointer, not the image: `git lfs pull` gets the image")
        return decode_image(data, size), digest, ""
    except Exception as error:  # broken files make Pillow's decoders raise nearly anything
        raise_if_of_machine(error)
        return np.zeros((3, *size), np.uint8), digest, _reason(error)


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words, without addresses in memory or full paths."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if type(error).__name__ == "UnidentifiedImageError":
        return "not an image"
    return str(error) or type(error).__name__


def _state(path: Path) -> tuple[int, int, int, int, int]:
    try:
        state = path.stat()
    except OSError:  # a link to nowhere: decoding it will say so
        return -1, -1, -1, -1, -1
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_dev, state.st_ino


def _contents(paths: Sequence[Path]) -> list[str]:
    """The hash of each file's content; "" where it cannot be read."""

    def sha256(path: Path) -> str:
        try:
            return hashlib.sha256(_read(path)).hexdigest()
        except (OSError, ValueError):
            return ""

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(sha256, paths))


def _read(path: Path) -> bytes:
    _check_regular(path)
    return path.read_bytes()


def _check_regular(path: Path) -> None:
    """Raise `ValueError` for what is not a file to read: a pipe would block, a device never end."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("no regular file")
    if status.st_size > _MOST_BYTES:
        raise ValueError(f"larger than {_MOST_BYTES >> 20} MiB")
