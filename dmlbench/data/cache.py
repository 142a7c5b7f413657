"""Arrays of images on disk, made once: whole or not there, checked when read.

An entry is a folder ``<cache>/<name>/<key>`` with ``images.npy`` and ``entry.json``, in which the
key is a hash of what the array was made from. It is made under another name and then renamed, so
no reader sees half of one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.data.images import DatasetError
from dmlbench.errors import UsageError
from dmlbench.files import user_path, write_atomically

HASH_LIMIT_BYTES = 1 << 28
"""Arrays up to this size are hashed at each read; of larger ones the size is compared."""

MEMORY_LIMIT_BYTES = 1 << 32
"""The largest array that is kept in memory where the cache cannot be written."""

_STALE_SECONDS = 86_400  # after which an unfinished entry is taken for one of a killed process

_log = logging.getLogger(__name__)


def cache_dir() -> Path:
    """Return the folder of the cache: ``$DMLBENCH_CACHE``, or the platform's place for caches.

    Raises `UsageError` where neither is known.
    """
    given = os.environ.get("DMLBENCH_CACHE")
    if given:
        return user_path(given)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else _home() / "AppData" / "Local") / "dmlbench" / "Cache"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches" / "dmlbench"
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "dmlbench"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # neither HOME nor an entry in the list of users
        raise UsageError(
            "There is no home folder to keep the cache in. Name a folder for it with the "
            "environment variable DMLBENCH_CACHE."
        ) from error


@dataclass(frozen=True)
class CacheEntry:
    """The place of one cached array.

    folder: where it is, or would be.
    made_from: everything that decides the array, as JSON values; None takes what is on disk.
    """

    folder: Path
    made_from: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls, name: str, made_from: Mapping[str, Any], key: Mapping[str, Any] | None = None
    ) -> CacheEntry:
        """Return the entry of `name` for the JSON values `made_from`.

        key: what names the folder, where that is less: an entry made from something else in the
            same folder is then replaced, not kept beside.
        """
        made_from, key = json.loads(json.dumps([made_from, made_from if key is None else key]))
        text = json.dumps(key, sort_keys=True)
        return cls(cache_dir() / name / hashlib.sha256(text.encode()).hexdigest()[:32], made_from)

    def read(self, in_memory: bool = False) -> tuple[np.ndarray, dict[str, Any]] | None:
        """Return the array and its notes, or None where there is no such entry, or a damaged one.

        in_memory: read a numpy array; otherwise a read-only memory map.
        """
        problem = self.problem(hash_limit_bytes=HASH_LIMIT_BYTES)
        if problem == "absent":
            return None
        if problem:
            _log.warning("The cache entry %s %s; it is made again.", self.folder, problem)
            return None
        array = np.load(self.folder / "images.npy", mmap_mode=None if in_memory else "r")
        return array, self._metadata()["notes"]

    def confirm(self, name: str, still_holds: Callable[[Mapping[str, Any]], bool]) -> None:
        """Keep an entry on disk that was made from another value of `name`, if it still holds.

        still_holds: called with the entry's notes, only where nothing but `name` differs.
        """
        try:
            metadata = self._metadata()
            before, now = dict(metadata["made_from"]), dict(self.made_from or {})
            differs = before.pop(name) != now.pop(name)
            if before != now or not differs or not still_holds(metadata["notes"]):
                return
            text = json.dumps({**metadata, "made_from": self.made_from})
            write_atomically(self.folder / "entry.json", lambda file: file.write(text.encode()))
        except (OSError, ValueError, KeyError, TypeError):
            return  # damage is told when the entry is read

    def problem(self, hash_limit_bytes: float = float("inf")) -> str:
        """Return what is wrong with the entry on disk: "absent", a description, or ""."""
        try:
            metadata = self._metadata()
            size = (self.folder / "images.npy").stat().st_size
            if size != metadata["bytes"]:
                return f"holds {size} bytes instead of {metadata['bytes']}"
            if self.made_from is not None and metadata["made_from"] != self.made_from:
                return "was made from something else"
            if size <= hash_limit_bytes:
                with open(self.folder / "images.npy", "rb") as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != metadata["sha256"]:
                        return "has changed since it was written"
        except FileNotFoundError:
            return "absent"
        except (OSError, ValueError, KeyError, TypeError) as error:
            return f"cannot be read ({error})"
        return ""

    def make(
        self,
        shape: tuple[int, ...],
        chunks: Callable[[], Iterator[np.ndarray]],
        notes: Callable[[], Mapping[str, Any]] = dict,
        in_memory: bool = False,
        dtype: str = "|u1",
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Make the array, keep it, and return it with its notes; in memory if it cannot be kept.

        shape, dtype: of the array; numpy's text for the type, "|u1" or "<f4".
        chunks: yields it in pieces along the first axis; called again if the disk fails.
        notes: called after the last chunk; JSON values to keep beside the array.
        Raises `DatasetError` where the cache cannot be written and memory would not do.
        """
        try:
            self._write(shape, np.dtype(dtype), chunks, notes)
        except _CannotWrite as error:
            size = np.dtype(dtype).itemsize * int(np.prod(shape))
            if size > MEMORY_LIMIT_BYTES:
                raise DatasetError(
                    f"{size / 2**30:.1f} GiB are to go into the cache {self.folder}, which "
                    f"cannot be written ({error}). Set DMLBENCH_CACHE to a folder with room."
                ) from error
            _log.warning(
                "The cache %s cannot be written (%s); what would be in it stays in memory. "
                "Set DMLBENCH_CACHE to a writable folder to keep it.",
                self.folder,
                error,
            )
            array = np.concatenate([np.empty((0, *shape[1:]), dtype), *chunks()])
            return array, dict(notes())
        array = np.load(self.folder / "images.npy", mmap_mode=None if in_memory else "r")
        return array, self._metadata()["notes"]

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Hold this entry, so no two processes make it at once; without a cache, at once.

        waiting: called where another process has it, before waiting for that.
        """
        path = self.folder.with_name(f"{self.folder.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = open(path, "w")  # noqa: SIM115 (closed below)
        except OSError:
            yield
            return
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError:
                pass  # a file system without locks: at worst it is made twice
            yield

    def _metadata(self) -> dict[str, Any]:
        return json.loads((self.folder / "entry.json").read_text("utf-8"))

    def _write(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype,
        chunks: Callable[[], Iterator[np.ndarray]],
        notes: Callable[[], Mapping[str, Any]],
    ) -> None:
        unfinished = self.folder.with_name(f"unfinished-{uuid.uuid4().hex}")
        try:
            with _disk():
                unfinished.mkdir(parents=True)
                _remove_stale(self.folder.parent)
                file = open(unfinished / "images.npy", "w+b")  # noqa: SIM115 (closed below)
            with file:
                header = {"descr": dtype.str, "fortran_order": False, "shape": shape}
                with _disk():
                    np.lib.format.write_array_header_1_0(file, header)
                    file.flush()
                    file.seek(0)
                    digest = hashlib.sha256(file.read())
                    size = file.tell() + dtype.itemsize * int(np.prod(shape))
                    _reserve(file.fileno(), size)
                for chunk in chunks():
                    data = np.ascontiguousarray(chunk, dtype=dtype).data
                    digest.update(data)
                    with _disk():
                        file.write(data)
                with _disk():
                    file.flush()
                if file.tell() != size:
                    raise ValueError(
                        f"the chunks for {self.folder} fill {file.tell()} bytes, not {size}"
                    )
            metadata = {
                "made_from": self.made_from,
                "bytes": size,
                "sha256": digest.hexdigest(),
                "notes": notes(),
            }
            with _disk():
                (unfinished / "entry.json").write_text(json.dumps(metadata), "utf-8")
                self._take_over(unfinished)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _take_over(self, unfinished: Path) -> None:
        """Give a finished entry its name, unless another process has just done so."""
        for _ in range(3):
            try:
                os.rename(unfinished, self.folder)
                return
            except OSError:
                if not self.folder.exists():
                    raise
            if not self.problem():
                return
            # A folder that is not empty cannot be renamed over: the damaged one goes first.
            damaged = self.folder.with_name(f"unfinished-{uuid.uuid4().hex}")
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.rename(self.folder, damaged)
            shutil.rmtree(damaged, ignore_errors=True)
        raise OSError(f"{self.folder} cannot be replaced")


def entries() -> list[CacheEntry]:
    """Return every finished entry of the cache, by name."""
    return [CacheEntry(path.parent) for path in sorted(cache_dir().glob("*/*/entry.json"))]


class _CannotWrite(OSError):
    """The disk of the cache refused; an error of whoever makes the images is never this."""


class _disk:
    """Turns the errors of the disk into `_CannotWrite`."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError):
            raise _CannotWrite(error.errno, error.strerror or str(error)) from error


def _reserve(descriptor: int, size: int) -> None:
    """Take the room on the disk beforehand: a full one shows before the work, not after it."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENODEV):
            raise


def _remove_stale(folder: Path) -> None:
    for path in folder.glob("unfinished-*"):
        with contextlib.suppress(OSError):  # another process may remove it too
            # Its folder is as old as its file's name; the file, as what was written last.
            written = max(place.stat().st_mtime for place in (path, *path.iterdir()))
            if time.time() - written > _STALE_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
