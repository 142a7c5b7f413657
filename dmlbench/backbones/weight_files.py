"""Weight files by their content: a configuration names the hash, not a path of one machine.

``weights = "sha256:<hex>"`` is in a backbone's parameters. The cache folder remembers where the
file of a hash was last seen, so worker processes, and later runs, find it again.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import uuid
from pathlib import Path

from dmlbench.data.cache import cache_dir
from dmlbench.errors import UsageError
from dmlbench.files import resolved, user_path

_REFERENCE = re.compile(r"sha256:([0-9a-f]{64})")


def weights_reference(given: str) -> str:
    """The reference of a file, remembering its place; one that is a reference already stays.

    Raises `UsageError` where the file cannot be read or its place not be kept.
    """
    if _REFERENCE.fullmatch(given):
        return given
    path = user_path(given)
    digest = _sha256(path)
    link = _link(digest)
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        # Made aside and renamed: another run may look it up at this moment.
        fresh = link.with_name(f"{link.name}.{uuid.uuid4().hex}")
        os.symlink(resolved(path), fresh)
        os.replace(fresh, link)
    except OSError as error:
        raise UsageError(
            f"The place of the weights {given} cannot be kept in the cache {link.parent} "
            f"({error.strerror}). Set DMLBENCH_CACHE to a folder that can be written."
        ) from error
    return f"sha256:{digest}"


def weights_path(reference: str) -> Path:
    """The file that a reference (or a path) means. Raises `UsageError` unless it is unchanged."""
    digest = _REFERENCE.fullmatch(weights_reference(reference))[1]
    link = _link(digest)
    if not link.exists():
        raise UsageError(
            f"The weights {reference} are not known here, or their file is gone. "
            f"Give the file of this hash: --weights FILE."
        )
    path = resolved(link)
    if _sha256(path) != digest:
        raise UsageError(
            f"The weights {path} have changed: they no longer have the hash {digest}. "
            f"Give the file with --weights FILE, which makes a row of its own."
        )
    return path


def _link(digest: str) -> Path:
    return cache_dir() / "weights" / digest


def _sha256(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block
            raise UsageError(f"The weights {path} are not a regular file.")
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"The weights {path} cannot be read: {error.strerror}.") from error
