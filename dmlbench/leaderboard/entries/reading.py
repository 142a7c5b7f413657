"""The text of a file of a leaderboard, which may come from anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.files import resolved

MAX_RECORD_BYTES = 64 * 2**20


def read_text(path: Path, most: int = MAX_RECORD_BYTES) -> str:
    """The text of a regular UTF-8 file of at most `most` bytes.

    Raises `VerificationError` that names the file and what is wrong with it.
    """
    try:
        _refuse_link_out(path)
        status = path.stat()
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(status.st_mode):
            raise VerificationError(f"{path} is not a regular file.")
        if status.st_size > most:
            raise VerificationError(f"{path}: {too_large(most)}")
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise VerificationError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > most:
        raise VerificationError(f"{path}: {too_large(most)}")
    try:
        # Decoded here: json would guess UTF-16 from the first bytes.
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"{path} is not UTF-8 text: {error.reason}.") from error


def _refuse_link_out(path: Path) -> None:
    """Raise `VerificationError` for a link that leads out of the leaderboards it is in.

    What is there may be private, and messages would quote it.
    """
    root = Path(os.path.abspath(path)).parents[2:3]  # above protocol and dataset
    if path.is_symlink() and root and not resolved(path).is_relative_to(resolved(root[0])):
        raise VerificationError(
            f"{path} is a link that leads out of {root[0]}. Put the file itself there."
        )


def too_large(most: int = MAX_RECORD_BYTES) -> str:
    return f"more than {most} bytes, which is the limit for an entry."
