"""Get a set: take what is there, download the rest, check it, unpack it, and remember where."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dmlbench.data.images import DatasetError
from dmlbench.data.locations import place_of
from dmlbench.datasets.getting.archive import unpack
from dmlbench.datasets.getting.download import (
    ChecksumError,
    Downloaded,
    DownloadError,
    download,
    file_digests,
    matches,
)
from dmlbench.datasets.getting.origins import ORIGINS, DatasetOrigin, OriginFile
from dmlbench.datasets.getting.record import DownloadRecord, remember_place
from dmlbench.datasets.getting.verify import benchmark
from dmlbench.errors import UsageError

OnProgress = Callable[[str, int, "int | None"], None]
"""Called with what is being done, the bytes done and, where known, the bytes in all."""

Say = Callable[[str], None]


def fetch(
    name: str,
    root: str | None = None,
    urls: Sequence[str] = (),
    keep: bool = False,
    progress: OnProgress = lambda what, done, total: None,
    say: Say = lambda line: None,
) -> Path:
    """Make the set `name` be there, and return the folder in which it was found or put.

    root: the folder of the set, perhaps with files in it that were had by other means; it is
        remembered as the place of the set. None for the place it has already.
    urls: addresses to use instead of the set's own: ``FILE=URL``, a URL that ends in the name of a
        file of the set, or one that ends in a slash, for all files.
    keep: keep downloaded archives after they are unpacked.
    Raises `DownloadError`, `ChecksumError`, `ArchiveError` and `DatasetError`.
    """
    dataset, origin = benchmark(name), ORIGINS[name]
    mirrors = _mirrors(name, origin, urls)
    place = place_of(name, root)
    if _is_there(dataset, place):
        say(f"{name} is there already: {place}")
    else:
        files = _choose(name, origin, mirrors, place)
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DownloadError(
                f"{place} cannot be made ({error.strerror}). Name a folder that can be written, "
                "with --root or DMLBENCH_DATA."
            ) from error
        with _locked(place):
            record = DownloadRecord(place)
            for file in files:
                urls_of_file = mirrors.get(file.name, file.urls)
                _get_file(file, urls_of_file, origin.by_hand, record, keep, progress, say)
        dataset.find(str(place))
    try:
        remember_place(name, place)
    except OSError as error:
        say(f"That {name} is in {place} cannot be recorded ({error}). Set DMLBENCH_DATA.")
    return place


def _is_there(dataset: Any, place: Path) -> bool:
    try:
        dataset.find(str(place))
    except DatasetError:
        return False
    return True


def _mirrors(name: str, origin: DatasetOrigin, urls: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the addresses that the user gave, by the name of the file."""
    names = list(dict.fromkeys(file.name for choice in origin.choices for file in choice))
    mirrors: dict[str, tuple[str, ...]] = {}
    for text in urls:
        file, equals, url = text.partition("=")
        if equals and file in names:
            mirrors[file] = (*mirrors.get(file, ()), url)
        elif text.endswith("/"):
            for file in names:
                mirrors[file] = (*mirrors.get(file, ()), text + file)
        else:
            last = urllib.parse.unquote(urllib.parse.urlsplit(text).path.rpartition("/")[2])
            if last not in names and len(names) == 1:
                last = names[0]
            if last not in names:
                raise UsageError(
                    f"--url {text}: say which file of {name} it is, --url FILE={text}, with FILE "
                    f"one of {', '.join(names)}; or give a folder's address that ends in a slash."
                )
            mirrors[last] = (*mirrors.get(last, ()), text)
    return mirrors


def _choose(
    name: str, origin: DatasetOrigin, mirrors: Mapping[str, Sequence[str]], place: Path
) -> tuple[OriginFile, ...]:
    """Return the files to get: the first choice of which none has to be fetched by hand."""
    record = DownloadRecord(place)
    lacking = []
    for choice in origin.choices:
        missing = [
            file.name
            for file in choice
            if not (mirrors.get(file.name) or file.urls)
            and not (place / file.name).is_file()
            and not record.is_unpacked(file.name)
        ]
        if not missing:
            return choice
        lacking.append(" and ".join(missing))
    raise DownloadError(
        f"{name} cannot be downloaded by a program. {origin.by_hand}. Then put "
        f"{', or '.join(lacking)} into {place} and run `dmlbench data get {name}` again, which "
        f"checks and unpacks; or, where the set is unpacked already, run "
        f"`dmlbench data get {name} --root DIR`. An address that works: --url FILE=URL. "
        f"About the set: {origin.page}"
    )


def _get_file(
    file: OriginFile,
    urls: Sequence[str],
    by_hand: str,
    record: DownloadRecord,
    keep: bool,
    progress: OnProgress,
    say: Say,
) -> None:
    """Have one file, check it, and unpack it where it is an archive."""
    if record.is_unpacked(file.name):
        say(f"{file.name}: unpacked before")
        return
    path, url = record.place / file.name, record.url(file.name)
    theirs = path.is_file() and url is None
    if path.is_file():
        say(f"{file.name}: found in {record.place}")
        had = Downloaded(path, path.stat().st_size, file_digests(path))
    else:
        had, url = _download(file, urls, by_hand, record.place, progress)
    _require(file, had, record, theirs)
    record.note(file.name, url, had)
    if file.checksum:
        say(f"{file.name}: {had.num_bytes:,} bytes, {file.checksum} as published")
    else:
        say(
            f"{file.name}: {had.num_bytes:,} bytes, sha256 {had.digests['sha256']}; no published "
            f"checksum is known, this one is noted in {record.file}"
        )
    if file.limits is not None:
        _unpack(file, path, record, progress)
        if not theirs and not keep:
            path.unlink()


def _download(
    file: OriginFile, urls: Sequence[str], by_hand: str, place: Path, progress: OnProgress
) -> tuple[Downloaded, str]:
    """Try the addresses one after the other."""
    reasons = []
    for url in urls:
        try:
            had = download(
                url,
                place / file.name,
                file.checksum,
                lambda done, total: progress(file.name, done, total),
            )
            return had, url
        except DownloadError as error:
            reasons.append(error)
    kind = ChecksumError if all(isinstance(r, ChecksumError) for r in reasons) else DownloadError
    raise kind(
        " ".join(map(str, reasons))
        + f" Otherwise get {file.name} elsewhere and put it into {place}."
        + (f" {by_hand}." if by_hand else "")
    )


def _require(file: OriginFile, had: Downloaded, record: DownloadRecord, theirs: bool) -> None:
    """Raise `ChecksumError` unless a file is what was published, or what it was the last time.

    theirs: the user put it there, so it is not removed.
    """
    wanted = file.checksum or record.checksum(file.name)
    if not wanted or matches(wanted, had.digests):
        return
    kind = wanted.partition(":")[0]
    since = "as published" if file.checksum else f"as {record.file} notes from the first time"
    ending = "It is left there: move it away" if theirs else "It was removed: run again"
    if not theirs:
        had.path.unlink()
    raise ChecksumError(
        f"{had.path} has {kind}:{had.digests[kind]}, but should have {wanted}, {since}. {ending}"
        + ("." if file.checksum else ", or take the note out if this one is to be trusted.")
    )


def _unpack(file: OriginFile, archive: Path, record: DownloadRecord, progress: OnProgress) -> None:
    """Unpack beside the final place, then move the folders over."""
    place = record.place
    unfinished = place / f".unpacking-{file.name}"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unpack(
            archive,
            unfinished,
            file.limits,
            lambda done: progress(f"unpacking {file.name}", done, None),
        )
        entries = sorted(path.name for path in unfinished.iterdir())
        ours = record.entries(file.name)
        taken = [name for name in entries if (place / name).exists() and name not in ours]
        if taken:
            raise DatasetError(
                f"{file.name} unpacks to {', '.join(taken)}, which {place} holds already, from "
                "elsewhere. Move it away, or name another folder with --root."
            )
        # Noted first: what is there after an interruption is then known to be whole and ours.
        record.note_entries(file.name, entries)
        for name in entries:
            if not (place / name).exists():
                os.rename(unfinished / name, place / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Keep a second process from writing into the same folder."""
    folder = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise DownloadError(
            f"Another process is downloading into {place}. Wait for it, or end it."
        ) from error
    finally:
        os.close(folder)
