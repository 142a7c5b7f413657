"""The text of a file of a leaderboard, which may come from anybody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.files import resolved

MAX_RECORD_BYTES = 64 * 2**20


def read_text(path: Path, most: int = MAX_RECORD_BYTES, root: Path | None = None) -> str:
    """The text of a regular UTF-8 file of at most `most` bytes.

    root: the folder that links may not lead out of; by default that of the leaderboards it is in.
    Raises `VerificationError` that names the file and what is wrong with it.
    """
    try:
        if root is None:
            _refuse_link_out(path)
        else:
            require_inside(path, root)
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


def require_inside(path: Path, root: Path) -> None:
    """Raise `VerificationError` where a link on the way from `root` to `path` leads out of `root`.

    What is there may be private, and messages would quote it. A link that is `root` itself was
    named by whoever runs the command, and is followed.
    """
    if resolved(path).is_relative_to(resolved(root)):
        return
    place = root
    for part in path.relative_to(root).parts:
        place = place / part
        if not resolved(place).is_relative_to(resolved(root)):
            break
    raise VerificationError(
        f"{place} is a link that leads out of {root} and is not followed. Put what it leads to in "
        f"its place, or name that."
    )


def _refuse_link_out(path: Path) -> None:
    """As `require_inside`, for a file of a leaderboard whose root nobody named."""
    if path.parent.name.startswith("_"):  # beside the entries of the folder above
        require_inside(path.parent, path.parent.parent)
    root = Path(os.path.abspath(path)).parents[2:3]  # above protocol and dataset
    if path.is_symlink() and root and not resolved(path).is_relative_to(resolved(root[0])):
        raise VerificationError(
            f"{path} is a link that leads out of {root[0]}. Put the file itself there."
        )


def too_large(most: int = MAX_RECORD_BYTES) -> str:
    return f"more than {most} bytes, which is the limit for an entry."
