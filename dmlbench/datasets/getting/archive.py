"""Unpack archives from elsewhere: nothing gets out of the target folder, and no more than agreed.

Only plain files and directories are unpacked, under names made of plain parts. An archive that
holds anything else is refused whole: archives of images have no use for it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dmlbench.errors import DmlbenchError

_CHUNK = 1 << 20
_DEPTH = 32  # folders within folders; image sets need five
_DRAIN_LIMIT_BYTES = 1 << 26  # padding behind the end of a tar archive
_EXTENSION_LIMIT_BYTES = 1 << 20
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)

OnUnpacked = Callable[[int], None]
"""Called with the bytes unpacked so far."""


class ArchiveError(DmlbenchError):
    """An archive that is damaged or not to be trusted: nothing of it is kept."""


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold at most.

    num_bytes: of all files, as they are written, whatever the archive says of them.
    num_members: files and directories.
    """

    num_bytes: int
    num_members: int


@dataclass(frozen=True)
class _Member:
    name: str
    is_directory: bool
    problem: str
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path, target: Path, limits: Limits, progress: OnUnpacked = lambda done: None
) -> None:
    """Unpack a zip or tar archive (gzip, bzip2, xz or plain) into `target`.

    target: a folder that does not exist yet; whole afterwards, or not there.
    Raises `ArchiveError` that names archive, member and reason.
    """
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    target.mkdir(parents=True)
    whole = False
    try:
        with _members(archive) as members:
            _write(archive, members, target, limits, progress)
        whole = True
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, *_DECODERS) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ArchiveError(
            f"{archive} is damaged or cut off ({reason}). Remove it and get it again."
        ) from error
    except OSError as error:
        raise ArchiveError(f"{archive} cannot be unpacked into {target}: {error}.") from error
    finally:
        if not whole:
            shutil.rmtree(target, ignore_errors=True)


def _decoder_errors() -> tuple[type[Exception], ...]:
    import gzip
    import lzma
    import zlib

    # zipfile raises the last two for encrypted members and unknown methods.
    return gzip.BadGzipFile, zlib.error, lzma.LZMAError, RuntimeError, NotImplementedError


_DECODERS = _decoder_errors()


def _write(
    archive: Path, members: Iterator[_Member], target: Path, limits: Limits, progress: OnUnpacked
) -> None:
    written = 0
    for number, member in enumerate(members, 1):

        def refuse(reason: str, name: str = member.name) -> ArchiveError:
            return ArchiveError(
                f"{archive}: {name[:200]!r} {reason}. Nothing of the archive was kept."
            )

        if number > limits.num_members:
            raise refuse(f"is beyond the {limits.num_members:,} members that it may hold")
        if member.problem:
            raise refuse(member.problem)
        parts = [part for part in member.name.split("/") if part not in ("", ".")]
        problem = _name_problem(member.name, parts)
        if problem:
            raise refuse(problem)
        path = target.joinpath(*parts)
        try:
            if member.is_directory:
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            # "x" refuses what is there: no member can write through another one.
            with open(path, "xb") as file, contextlib.closing(member.open()) as source:
                while chunk := source.read(_CHUNK):
                    written += len(chunk)
                    if written > limits.num_bytes:
                        raise refuse(
                            f"goes beyond the {limits.num_bytes:,} bytes that it may unpack to"
                        )
                    file.write(chunk)
                    progress(written)
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise refuse("blocks another member of the same name") from error


def _name_problem(name: str, parts: list[str]) -> str:
    if not parts:
        return "" if name.strip("/") in ("", ".") and not name.startswith("/") else "has no name"
    if name.startswith("/") or (len(parts[0]) > 1 and parts[0][1] == ":"):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of the folder"
    if "\\" in name or "\0" in name:
        return "has a backslash or a null in its name"
    if len(parts) > _DEPTH or any(len(os.fsencode(part)) > 255 for part in parts):
        return "has too long a name"
    return ""


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    with open(archive, "rb") as file:
        is_zip = file.read(2) == b"PK"
    if is_zip:
        with zipfile.ZipFile(archive) as opened:
            yield _zip_members(opened)
    else:
        with tarfile.open(archive, "r:*", tarinfo=BoundedInfo) as opened:
            yield _tar_members(opened)


class BoundedInfo(tarfile.TarInfo):
    """A header of a tar archive; long names and attributes are read into memory, hence a limit."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in _EXTENSIONS and info.size > _EXTENSION_LIMIT_BYTES:
            raise tarfile.ReadError(f"a header of {info.size:,} bytes")
        return info


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        problem = ""
        if stat.S_ISLNK(kind):
            problem = "is a link"
        elif kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            problem = "is not a plain file"
        elif info.flag_bits & 1:
            problem = "is encrypted"
        # orig_filename: zipfile itself cuts names at a null.
        name = info.orig_filename
        yield _Member(name, name.endswith("/"), problem, lambda info=info: archive.open(info))


def _tar_members(archive: tarfile.TarFile) -> Iterator[_Member]:
    while (info := archive.next()) is not None:
        problem = ""
        if info.issym() or info.islnk():
            problem = f"is a link to {info.linkname[:200]!r}"
        elif info.issparse() or not (info.isreg() or info.isdir()):
            problem = "is not a plain file"
        yield _Member(info.name, info.isdir(), problem, lambda info=info: archive.extractfile(info))
    # The checksum of a compressed archive comes after its last byte.
    drained = 0
    while chunk := archive.fileobj.read(_CHUNK):
        drained += len(chunk)
        if drained > _DRAIN_LIMIT_BYTES:
            raise tarfile.ReadError("too much follows after the end of the archive")
