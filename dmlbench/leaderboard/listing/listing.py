"""Entries of many leaderboards, listed for tables: what memory and seconds do not allow whole.

A listing knows every file, what group its entry is in, and what it can be filtered by. The entries
of a group are brought when they are asked for, without what no table shows of them. What was read
is kept in a cache (`ListingCache`), which only tables use: whatever verifies reads the files.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.listed import ListedEntry
from dmlbench.leaderboard.entries.store import leaderboard_folders, linked_out, read_entry
from dmlbench.leaderboard.listing.cache import ListingCache
from dmlbench.leaderboard.listing.reader import (
    Found,
    Row,
    Stamp,
    read_files,
    unpack_found,
)
from dmlbench.leaderboard.verification.tiers import Tiers, Verification


@dataclass
class Listing:
    """The entries under a folder, by group.

    folder: a leaderboard, a protocol's folder or the root of all. problems: a line for each file
    that is not an entry, which names it and says why. groups: key -> rows, in the order in which a
    person looks for them; the rows by entry id.
    """

    folder: Path
    groups: dict[str, list[Row]]
    problems: list[str]
    _cache: ListingCache
    _tiers: Tiers
    # Of files that could not be kept in a cache.
    _read: dict[str, Found] = field(default_factory=dict)
    _failures: dict[int, tuple[ListedEntry, Verification]] = field(default_factory=dict)

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.groups.values() for row in rows]

    def submissions(self) -> dict[str, list[str | None]]:
        """Entry id -> the submitters of every submission of that configuration."""
        found: dict[str, list[str | None]] = {}
        for row in self.rows:
            found.setdefault(row.entry_id, []).append(row.submitter)
        return found

    def only(self, fits: Callable[[Row], bool]) -> Listing:
        """The listing with the groups alone of which a row fits; the groups stay whole."""
        kept = {key: rows for key, rows in self.groups.items() if any(map(fits, rows))}
        return Listing(
            self.folder, kept, self.problems, self._cache, self._tiers, self._read, self._failures
        )

    def entries(self, group: str) -> list[Entry]:
        """The entries of a group, by id; `verification` knows them while they are kept."""
        rows = self.groups[group]
        packed = self._cache.packed([row.path for row in rows if row.path not in self._read])
        entries: list[Entry] = []
        for row in rows:
            brought = self._bring(row, packed)
            if brought is None:
                continue
            entry, failures = brought
            issues = tuple(f"{check}: {message}" for check, message in failures)
            self._failures[id(entry)] = (
                entry,
                Verification("unverified" if issues else "checked", issues),
            )
            entries.append(entry)
        return entries

    def _bring(
        self, row: Row, packed: Mapping[str, bytes]
    ) -> tuple[ListedEntry, list[tuple[str, str]]] | None:
        """One entry and the checks that it fails; None for a file that changed its group since."""
        path = self.folder / row.path
        with contextlib.suppress(KeyError, ValueError, TypeError, zlib.error):
            known = self._read.get(row.path)
            return unpack_found(known.packed if known else packed[row.path], path)
        # The cache was lost or damaged since the folder was listed.
        ((again,),) = read_files(self.folder, [row.path])
        if again.row is None or again.row.group != row.group:
            return None
        return unpack_found(again.packed, path)

    def forget(self, entries: Iterable[Entry]) -> None:
        """Let the memory go that `verification` keeps of entries."""
        for entry in entries:
            self._failures.pop(id(entry), None)

    def verification(self, entry: Entry) -> Verification:
        """What holds of an entry of `entries`: its checks, and what others attested of it."""
        known = self._failures.get(id(entry))
        if known is None:
            raise ValueError(f"{entry.entry_id} was not read by this listing")
        listed, verification = known
        if verification.issues or not self._tiers.attested(entry.entry_id):
            return verification
        # Attestations are held against every number of the entry.
        judged = self._tiers.judge(read_entry(listed.path))
        self._failures[id(entry)] = (listed, judged)
        return judged


def open_listing(folder: str | Path, use_cache: bool = True) -> Listing:
    """List the entries under a folder, reading those files that the cache does not know.

    use_cache: take what was read before, and keep what is read now, in the folder of caches.
    Raises `UsageError` if there is no such folder.
    """
    folder = Path(folder)
    problems = [*linked_out(folder).values()]
    stamps = _stamps(folder)
    cache = ListingCache(folder, use_cache)
    known = cache.known(stamps)
    new = [path for path in stamps if path not in known]
    rows, kept = list(known.values()), {}
    for batch in read_files(folder, new):
        sound = [found for found in batch if found.problem is None]
        problems += [found.problem for found in batch if found.problem is not None]
        rows += [found.row for found in sound if found.row is not None]
        stored = cache.keep(sound)
        kept |= {f.row.path: f for f in sound if f.row is not None and f.row.path not in stored}
    cache.forget_others(stamps)
    problems.sort()
    return Listing(folder, _grouped(rows), problems, cache, Tiers(folder), kept)


def require_entries(listing: Listing, dataset: str | None = None) -> None:
    """Raise `UsageError`, saying what to run, if the listing has no entry."""
    if listing.groups:
        return
    refused = "".join(f"\nRefused: {problem}" for problem in listing.problems)
    if dataset is not None:
        raise UsageError(f"{listing.folder} has no entry for the dataset {dataset!r}.{refused}")
    raise UsageError(
        f"{listing.folder} holds no entry that can be read. `dmlbench run --leaderboards DIR` "
        f"makes them there.{refused}"
    )


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.entry_id, row.path)):
        groups.setdefault(row.group, []).append(row)
    return {key: groups[key] for key in sorted(groups, key=lambda key: groups[key][0].place)}


def _stamps(folder: Path) -> dict[str, Stamp]:
    """Every file under a folder that should be an entry, by its path from there."""
    stamps: dict[str, Stamp] = {}
    for leaderboard in leaderboard_folders(folder):
        inner = os.path.relpath(leaderboard, folder)
        prefix = "" if inner == "." else inner + os.sep
        with os.scandir(leaderboard) as places:
            for place in places:
                if place.name.endswith(".json") and place.name[0] not in "._":
                    with contextlib.suppress(OSError):
                        stamps[prefix + place.name] = Stamp.of(place.stat())
                        continue
                    # Gone, or a link to nothing: the reader says so.
                    stamps[prefix + place.name] = Stamp(0, 0, 0, 0)
    return stamps
