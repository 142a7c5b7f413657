"""What a listing read before, in a file that may be thrown away at any time.

One SQLite file per folder of leaderboards, in the user's folder of caches and never beside the
entries: whoever sends entries in could send a cache along. A row holds for exactly the file with
the path, size, time of change and inode that it was read from, and for exactly the code that read
it. Nothing that verifies reads from here.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sqlite3
import sys
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeVar

import pydantic

from dmlbench.data.cache import cache_dir
from dmlbench.errors import UsageError
from dmlbench.files import resolved
from dmlbench.leaderboard.listing.reader import Found, Row, Stamp

# A file that changed so shortly before it was read may change again within one tick of the clock of
# its file system: FAT counts in 2 s.
_SETTLED_NS = 2_500_000_000
# Names in one query; SQLite before 3.32 takes at most 999.
_MANY = 900
# Seconds to wait for another process that writes.
_PATIENCE = 5.0
_COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)
# The rooms whose code decides what is kept.
_READERS = (
    "datasets",
    "evaluate",
    "losses",
    "statistics",
    "plan",
    "plan/recipes",
    "plugins",
    "leaderboard/entries",
    "leaderboard/verification",
    "leaderboard/comparison",
    "leaderboard/listing",
)

T = TypeVar("T")


class ListingCache:
    """The cache of one folder of leaderboards.

    Whatever goes wrong with it (no folder, no room, a damaged file, another writer) leaves a
    listing that reads every file. use: False for none.
    """

    def __init__(self, folder: Path, use: bool = True) -> None:
        self.file = _file_of(folder) if use else None

    def known(self, stamps: Mapping[str, Stamp]) -> dict[str, Row]:
        """The rows of the files that are as they were when they were read, by path."""

        def work(database: sqlite3.Connection) -> dict[str, Row]:
            found: dict[str, Row] = {}
            for *values, checksum in database.execute(f"SELECT {_COLUMNS}, checksum FROM files"):
                row = Row(*values)
                # Sums tell of damage that leaves the file a database.
                if stamps.get(row.path) == row.stamp and checksum == _checksum(values):
                    found[row.path] = row
            return found

        return self._try(work, {})

    def packed(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The packed entries of paths that `known` gave, or of some."""

        def work(database: sqlite3.Connection) -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for start in range(0, len(paths), _MANY):
                some = paths[start : start + _MANY]
                marks = ",".join("?" * len(some))
                query = f"SELECT path, packed FROM files WHERE path IN ({marks})"
                found |= dict(database.execute(query, some).fetchall())
            return found

        return self._try(work, {})

    def keep(self, found: Sequence[Found]) -> set[str]:
        """Keep what was read; gives the paths that were kept."""
        rows = [(f.row, f.packed) for f in found if f.row is not None]
        settled = [(r, p) for r, p in rows if r.read_ns - r.mtime_ns > _SETTLED_NS]

        def work(database: sqlite3.Connection) -> set[str]:
            marks = ", ".join("?" * (len(Row._fields) + 2))
            with database:
                database.executemany(
                    f"INSERT OR REPLACE INTO files ({_COLUMNS}, checksum, packed) VALUES ({marks})",
                    [(*row, _checksum(row), packed) for row, packed in settled],
                )
            return {row.path for row, _ in settled}

        return self._try(work, set()) if settled else set()

    def forget_others(self, paths: Collection[str]) -> None:
        """Forget the files that are no longer there."""

        def work(database: sqlite3.Connection) -> None:
            gone = [(p,) for (p,) in database.execute("SELECT path FROM files") if p not in paths]
            if gone:
                with database:
                    database.executemany("DELETE FROM files WHERE path = ?", gone)

        self._try(work, None)

    def _try(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        if self.file is None:
            return otherwise
        try:
            with contextlib.closing(_open(self.file)) as database:
                return work(database)
        except sqlite3.OperationalError:  # locked for long, no room, not ours to write
            return otherwise
        except (sqlite3.Error, TypeError, ValueError):  # damaged
            with contextlib.suppress(OSError):
                self.file.unlink()
            return otherwise
        except OSError:
            self.file = None
            return otherwise


def _file_of(folder: Path) -> Path | None:
    try:
        caches = cache_dir()
    except UsageError:
        return None
    name = hashlib.sha256(str(resolved(folder)).encode("utf-8", "surrogateescape")).hexdigest()
    return caches / "leaderboards" / f"{name[:24]}.sqlite"


def _open(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=_PATIENCE)
    try:
        # A crash of the machine may damage the file, which is then thrown away.
        database.execute("PRAGMA synchronous = OFF")
        reader = _reader_version()
        if _kept_by(database) != reader:
            with database:
                database.execute("DROP TABLE IF EXISTS files")
                database.execute("DROP TABLE IF EXISTS reader")
                database.execute("CREATE TABLE reader (version TEXT)")
                database.execute("INSERT INTO reader VALUES (?)", (reader,))
                database.execute(
                    f"CREATE TABLE files ({_COLUMNS}, checksum, packed, PRIMARY KEY (path))"
                )
    except BaseException:
        database.close()
        raise
    return database


def _kept_by(database: sqlite3.Connection) -> str | None:
    """The version of the reader whose rows are there; None in a new file."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'reader'").fetchone():
        return None
    found = database.execute("SELECT version FROM reader").fetchone()
    return str(found[0]) if found else None


@functools.cache
def _reader_version() -> str:
    """A hash of the code that reads, checks and groups entries, and of what it reads with."""
    digest = hashlib.sha256(f"pydantic {pydantic.VERSION} {sys.version_info[:2]}".encode())
    root = resources.files("dmlbench")
    for room in _READERS:
        folder = root.joinpath(*room.split("/"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            if file.name.endswith((".py", ".toml")):
                digest.update(f"{room}/{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _checksum(values: Sequence[object]) -> int:
    return zlib.crc32("\0".join(map(str, values)).encode("utf-8", "surrogatepass"))
