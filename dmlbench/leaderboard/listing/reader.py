"""Files of entries read and checked for a listing, by as many processes as there are cores."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.entries.descriptions import protocol_label, recipe_label
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.listed import ListedEntry, pack, unpack
from dmlbench.leaderboard.entries.store import read_entry_values
from dmlbench.leaderboard.verification.checks import check_entry

# Fewer files are read before other processes have started.
_FEW = 400
_BATCH = 100


class Stamp(NamedTuple):
    """What tells that a file is the one that was read.

    size in bytes, times of the last change of content and of inode, number of the inode. A number
    may be given again to the next file, and a time of content can be set: the other time cannot.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class Row(NamedTuple):
    """What a listing knows of an entry without bringing it.

    path: from the folder of the listing. stamp and read_ns (since the epoch): of the file when it
    was read. depths: the K of its Recall@K, joined by commas. losses: their names, joined by
    newlines; combiner: empty for a loss alone. label: the row's name.
    """

    path: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    read_ns: int
    entry_id: str
    group: str
    dataset: str
    protocol: str
    backbone: str
    recipe: str
    embedding_dim: int
    losses: str
    combiner: str
    label: str
    submitter: str | None
    depths: str

    @property
    def stamp(self) -> Stamp:
        return Stamp(self.size, self.mtime_ns, self.ctime_ns, self.inode)

    @property
    def place(self) -> tuple[str, str, str, str, int, str]:
        """The order of groups in which a person looks for them."""
        return (
            self.dataset, self.protocol, self.backbone, self.recipe, self.embedding_dim, self.group
        )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A file that was read: its row and its packed entry, or the problem with it."""

    row: Row | None
    packed: bytes = b""
    problem: str | None = None


def read_files(folder: Path, paths: Sequence[str]) -> Iterator[list[Found]]:
    """Read files of entries, in batches; paths: from the folder.

    Many are read by several processes where the system can fork; each batch is packed before it is
    handed over, so memory holds no more than a few.
    """
    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    work = [(folder, batch) for batch in batches]
    processes = min(os.cpu_count() or 1, len(batches))
    # A fork of a process with threads may hang, and without a fork a script would be run again.
    forks = sys.platform == "linux" and threading.active_count() == 1
    if len(paths) < _FEW or processes < 2 or not forks:
        yield from map(_read_batch, work)
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield from pool.imap_unordered(_read_batch, work)


def unpack_found(packed: bytes, path: Path) -> tuple[ListedEntry, list[tuple[str, str]]]:
    """An entry and the checks that it fails, as (check, message)."""
    size = int.from_bytes(packed[:4], "little")
    failures = json.loads(zlib.decompress(packed[4 : 4 + size])) if size else []
    return unpack(packed[4 + size :], path), [(check, message) for check, message in failures]


def _read_batch(work: tuple[Path, Sequence[str]]) -> list[Found]:
    folder, paths = work
    return [_read(folder, path) for path in paths]


def _read(folder: Path, path: str) -> Found:
    file = folder / path
    try:
        status = os.stat(file)
        read_ns = time.time_ns()
        entry, values = read_entry_values(file)
    except VerificationError as error:
        return Found(None, problem=str(error))
    except OSError as error:
        return Found(None, problem=f"{file} cannot be read: {error.strerror}.")
    failures, labels = check_entry(entry), Labels(())
    said = zlib.compress(json.dumps(failures).encode()) if failures else b""
    depths = {int(k) for trial in entry.completed for k in trial.metrics.recall_at}
    row = Row(
        path=path,
        **Stamp.of(status)._asdict(),
        read_ns=read_ns,
        entry_id=entry.entry_id,
        group=group_key(entry),
        dataset=entry.dataset.name,
        protocol=protocol_label(entry),
        backbone=labels.component(entry.backbone),
        recipe=recipe_label(entry),
        embedding_dim=entry.embedding_dim,
        losses="\n".join(loss.name for loss in entry.losses),
        combiner=entry.combiner.name if entry.combiner else "",
        label=labels.row(entry),
        submitter=entry.submitter,
        depths=",".join(map(str, sorted(depths))),
    )
    return Found(row, len(said).to_bytes(4, "little") + said + pack(values))
