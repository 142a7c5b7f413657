"""Files written whole or not at all, their hashes, and which errors are the machine's."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from dmlbench.errors import UsageError

#: Errors of the system that another day, or another machine, would not give.
MACHINE_ERRNOS = frozenset(
    getattr(errno, name)
    for name in (
        "ENOSPC EDQUOT EFBIG EROFS EIO ESTALE ENODEV ENXIO EMFILE ENFILE ENOMEM EAGAIN ENOBUFS "
        "ETIMEDOUT ENOLCK EREMOTEIO"
    ).split()
    if hasattr(errno, name)
)
#: How the names of unfinished files end; distinct, for whatever ends so may be removed.
_TEMPORARY = ".dmlbench-tmp"
#: A disk with less room than this is full: no record of a trial fits.
_LEAST_ROOM_BYTES = 1 << 16


def user_path(given: str | os.PathLike[str]) -> Path:
    """A path as users write it, where ``~`` is the home folder.

    Raises `UsageError` where there is no such home folder.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{given} is in a home folder that is not known here: set HOME, or give a path "
            f"without '~'."
        ) from error


def resolved(path: str | os.PathLike[str]) -> Path:
    """The absolute path without links; one that links to itself stays as it is.

    `Path.resolve` raises RuntimeError for such a loop.
    """
    return Path(os.path.realpath(path))


def write_atomically(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part.

    Safe when processes write at once: each has a file of its own, and the last to finish wins. The
    temporary file is hidden, so one that a killed process leaves is never read as a record, and the
    next that writes into the folder removes it. An `OSError` names `path`.
    """
    _remove_leftovers(path.parent)
    with _naming(path):
        file, name = _temporary_file(path)
    try:
        with _naming(path), file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
            os.chmod(name, 0o644)
            os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
    _sync_folder(path.parent)


def require_writable(folder: Path, advice: str) -> None:
    """Make sure that files can be written in a folder, before there is work to lose.

    A missing folder is not made: the nearest one above it that exists must be writable.
    Raises `UsageError` with the `advice` as its last sentence.
    """
    place = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(_LEAST_ROOM_BYTES))
            file.flush()
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}. {advice}") from error


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Let errors of the disk name the file that a user knows, not a temporary one or none."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None or str(error.filename).endswith(_TEMPORARY)
        if unnamed and error.errno is not None:  # without a number it is its text alone
            error.filename = str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_atomically` does, in a folder that is made if it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _temporary_file(path: Path) -> tuple[BinaryIO, str]:
    """An empty file beside `path`, locked for as long as it is open: a sign that it is in use."""
    while True:
        descriptor, name = tempfile.mkstemp(
            dir=path.parent, prefix=f".{path.name}.", suffix=_TEMPORARY
        )
        file = os.fdopen(descriptor, "wb")
        # Where a file system knows no locks, nobody can take it for one that was left.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return file, name
        file.close()  # taken for a leftover before it was locked


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of processes that were killed: those that nobody has locked."""
    with contextlib.suppress(OSError):
        names = [name for name in os.listdir(folder) if name.endswith(_TEMPORARY)]
        for name in names:
            with contextlib.suppress(OSError), open(folder / name, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(folder / name)


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut, where the system lets folders be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)
