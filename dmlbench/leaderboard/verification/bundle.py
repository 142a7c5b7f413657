"""Write a bundle: one archive with the test embeddings that the entries of leaderboards name.

A bundle is published beside a leaderboard, so others can compute its metrics again. It is an
uncompressed tar archive. Its members have the paths that the entries give, so it can also be
unpacked into the leaderboards folder.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from dmlbench.errors import UsageError, VerificationError
from dmlbench.files import file_sha256, require_writable, write_atomically
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.store import (
    entry_files,
    leaderboard_folders,
    linked_out,
    read_entry,
)
from dmlbench.leaderboard.entries.trial import Artefact, Trial
from dmlbench.leaderboard.verification.tiers import embeddings_path, of_another_submission


@dataclass(frozen=True)
class Bundled:
    """What a bundle holds and lacks.

    num_files, num_bytes: of the embeddings in it.
    missing: trials whose embeddings are not in this folder, in words.
    wrong: files that are not what the entries say, and entries that cannot be read, in words.
    """

    num_files: int
    num_bytes: int
    missing: tuple[str, ...]
    wrong: tuple[str, ...]


def write_bundle(folder: Path, target: Path) -> Bundled:
    """Write the embeddings of all completed trials under a folder of leaderboards into `target`.

    Every file is compared with the sha256 in its entry first. The same files give the same bytes:
    members are sorted by name and have fixed times and owners.
    Raises `UsageError` where there is nothing to bundle, or `target` cannot be written; it is then
    left as it was.
    """
    require_writable(target.parent, "Give another file with --to.")
    files: dict[str, tuple[Path, Artefact]] = {}
    missing: list[str] = []
    wrong: list[str] = []
    for entry, trial, leaderboard in _completed(folder, wrong):
        title = f"{entry.entry_id} ({plain(entry.label, 60)}), {trial.title}"
        try:
            path = _path(entry, trial, leaderboard)
        except VerificationError as error:
            wrong.append(f"{title}: {error}")
            continue
        if path is None or trial.embeddings is None:
            missing.append(title)
        else:
            files[trial.embeddings.path] = path, trial.embeddings
    if not files:
        raise UsageError(
            f"There are no embeddings under {folder} to bundle."
            + (f" The first problem: {wrong[0]}." if wrong else "")
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, lambda file: _write(file, files))
    num_bytes = sum(artefact.num_bytes for _, artefact in files.values())
    return Bundled(len(files), num_bytes, tuple(missing), tuple(wrong))


def is_member_name(name: str) -> bool:
    """Whether a path in an entry or archive is relative, plain, and leads nowhere else."""
    path = PurePosixPath(name)
    return (
        name.isprintable()
        and "\\" not in name
        and not path.is_absolute()
        and ".." not in path.parts
        and str(path) == name
        and name != "."
    )


def _completed(folder: Path, wrong: list[str]) -> Iterator[tuple[Entry, Trial, Path]]:
    wrong += linked_out(folder).values()
    for leaderboard in leaderboard_folders(folder):
        for path in entry_files(leaderboard):
            try:
                entry = read_entry(path)
            except VerificationError as error:
                wrong.append(str(error))
                continue
            for trial in entry.completed:
                yield entry, trial, leaderboard


def _path(entry: Entry, trial: Trial, leaderboard: Path) -> Path | None:
    """Where a trial's embeddings are, or None; raises `VerificationError` for other content."""
    artefact = trial.embeddings
    if artefact is None:
        return None
    path = embeddings_path(leaderboard, artefact)
    if path is None or not is_member_name(artefact.path):
        raise VerificationError(f"the path {plain(artefact.path)} leads out of the leaderboards")
    if not path.is_file():
        return None
    found = file_sha256(path)
    if found == artefact.sha256 and path.stat().st_size == artefact.num_bytes:
        return path
    if of_another_submission(entry, leaderboard, found):
        return None
    raise VerificationError(
        f"{path} is not the file that the entry names: sha256 {found[:12]} and "
        f"{path.stat().st_size:,} bytes, the entry says {artefact.sha256[:12]} and "
        f"{artefact.num_bytes:,} bytes"
    )


def _write(file: BinaryIO, files: dict[str, tuple[Path, Artefact]]) -> None:
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(files):
            path, artefact = files[name]
            data = path.read_bytes()
            if sha256(data).hexdigest() != artefact.sha256:
                raise VerificationError(f"{path} was changed while the bundle was written.")
            info = tarfile.TarInfo(name)  # mode 0644, time and owner 0
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
