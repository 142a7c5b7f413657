"""Read embeddings from a bundle that may come from anybody.

Nothing is unpacked: members are read into memory one at a time, each with exactly the size and the
sha256 that an entry names. An archive that holds anything but regular files under plain relative
names is refused as a whole.
"""

from __future__ import annotations

import contextlib
import tarfile
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from dmlbench.datasets.getting.archive import BoundedInfo
from dmlbench.datasets.getting.download import DownloadError, download
from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.fetch import is_address
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Artefact
from dmlbench.leaderboard.verification.bundle import is_member_name

MAX_BYTES = 64 * 2**30
MAX_MEMBERS = 100_000
MAX_DOWNLOAD_SECONDS = 4 * 3600.0


@dataclass(frozen=True)
class Bundle:
    """A bundle that is open. source: as it was named. members: name -> offset and size, bytes."""

    source: str
    file: BinaryIO
    members: dict[str, tuple[int, int]]

    def read(self, artefact: Artefact) -> bytes | None:
        """The embeddings file that an entry names, or None where the bundle does not have it.

        Raises `VerificationError` where the member of that name has another content.
        """
        if artefact.path not in self.members:
            return None
        offset, size = self.members[artefact.path]
        where = f"the member {plain(artefact.path)} of {plain(self.source)}"
        if size != artefact.num_bytes:
            raise VerificationError(
                f"{where} has {size:,} bytes, the entry says {artefact.num_bytes:,}"
            )
        self.file.seek(offset)
        data = self.file.read(size)
        found = sha256(data).hexdigest()
        if found != artefact.sha256:
            raise VerificationError(
                f"{where} is not the entry's: sha256 {found[:12]}, the entry says "
                f"{artefact.sha256[:12]}"
            )
        return data


@contextlib.contextmanager
def open_bundle(source: str, most: int = MAX_BYTES) -> Iterator[Bundle]:
    """Open a bundle at a path, or at an http or https address from which it is downloaded.

    most: bytes of the archive. A download is kept in a temporary folder until the bundle is closed.
    Raises `UsageError` for a source that is not there, `VerificationError` for an archive that is
    too large, damaged, or holds anything but regular files under plain names.
    """
    with contextlib.ExitStack() as stack:
        path = Path(source)
        if is_address(source):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dmlbench-bundle-"))
            path = _download(source, Path(folder), most)
        if not path.is_file():
            raise UsageError(f"There is no bundle {plain(source)}.")
        file = stack.enter_context(open(path, "rb"))
        size = path.stat().st_size
        if size > most:
            raise _too_large(source, most)
        try:
            members = _members(file, size, plain(source))
        except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
            reason = plain(str(error)) or type(error).__name__
            raise VerificationError(
                f"{plain(source)} is not an uncompressed tar archive, or damaged: {reason}."
            ) from error
        yield Bundle(source, file, members)


def _download(address: str, folder: Path, most: int) -> Path:
    end = time.monotonic() + MAX_DOWNLOAD_SECONDS

    def watch(done: int, total: int | None) -> None:
        if max(done, total or 0) > most:
            raise _too_large(address, most)
        if time.monotonic() > end:
            raise VerificationError(
                f"{plain(address)} took longer than {MAX_DOWNLOAD_SECONDS / 3600:.0f} hours."
            )

    try:
        return download(address, folder / "bundle.tar", progress=watch).path
    except DownloadError as error:
        raise UsageError(plain(str(error), 1000)) from error


def _too_large(source: str, most: int) -> VerificationError:
    return VerificationError(f"{plain(source)} has more than {most:,} bytes, the limit.")


def _members(file: BinaryIO, num_bytes: int, shown: str) -> dict[str, tuple[int, int]]:
    """Offset and size of every member, from the headers alone."""
    members: dict[str, tuple[int, int]] = {}
    end = 0
    with tarfile.open(fileobj=file, mode="r:", tarinfo=BoundedInfo) as archive:
        while (info := archive.next()) is not None:
            problem = _problem(info, end, num_bytes)
            if not problem and info.name in members:
                problem = "is there twice"
            if not problem and len(members) == MAX_MEMBERS:
                problem = f"is beyond the {MAX_MEMBERS:,} members that a bundle may hold"
            if problem:
                raise VerificationError(f"{shown}: the member {plain(info.name)!r} {problem}.")
            members[info.name] = info.offset_data, info.size
            end = info.offset_data + info.size
            archive.members.clear()  # else every header is kept, and looked through for links
    return members


def _problem(info: tarfile.TarInfo, end: int, num_bytes: int) -> str:
    """Why a member is refused. end: where the one before ends."""
    if info.issym() or info.islnk():
        return "is a link"
    if not info.isreg() or info.issparse():
        return "is not a regular file"
    if not is_member_name(info.name):
        return "is not a plain relative path"
    if info.size < 0 or info.offset_data < end or info.offset_data + info.size > num_bytes:
        return "is said to have bytes that are not there"
    return ""
