"""Where entries live: the only place that writes them, and the one that reads them back.

A leaderboard is the folder ``<out>/<protocol>/<dataset>``. What is run here is in
``<entry id>.json``; what was made elsewhere in ``<entry id>.<hash of its content>.json``, so
several submissions of one configuration are kept side by side, and merging folders never conflicts.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmlbench.errors import UsageError, VerificationError
from dmlbench.files import write_text
from dmlbench.leaderboard.entries.entry import SCHEMA_VERSION, Entry, parse_entry
from dmlbench.leaderboard.entries.parsing import parse_values
from dmlbench.leaderboard.entries.reading import MAX_RECORD_BYTES as MAX_ENTRY_BYTES
from dmlbench.leaderboard.entries.reading import read_text, require_inside, too_large

#: What a folder's keeper says of its leaderboards.
ABOUT = "_about.md"

_SAFE_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?")
_ID = re.compile(r"[0-9a-f]{16}")
#: The root of all leaderboards, protocols and datasets.
_LEVELS = 3
_STEM = re.compile(r"[0-9a-f]{16}(\.[0-9a-f]{8})?")


def entry_path(out: str | Path, protocol_name: str, dataset_name: str, entry_id: str) -> Path:
    """The file of an entry: ``<out>/<protocol>/<dataset>/<entry id>.json``.

    Raises `UsageError` for a name that is not a safe part of a path, and where links lead the
    folder out of `out`: what is written there would not be read.
    """
    for kind, name in (("protocol", protocol_name), ("dataset", dataset_name)):
        if not _SAFE_PART.fullmatch(name):
            raise UsageError(
                f"The {kind} name {name!r} cannot name a folder. Allowed: letters, digits, "
                f"'.', '_' and '-', starting with a letter or digit, at most 100 characters."
            )
    if not _ID.fullmatch(entry_id):
        raise UsageError(f"{entry_id!r} is not an entry id: 16 hexadecimal digits.")
    folder = Path(out) / protocol_name / dataset_name
    if reason := _leads_out(folder, Path(out)):
        raise UsageError(reason)
    return folder / f"{entry_id}.json"


def submission_name(entry: Entry) -> str:
    """The file name of an entry from elsewhere, one for each content."""
    return f"{entry.submission_key}.json"


def write_entry(out: str | Path, entry: Entry, beside: bool = False) -> Path:
    """Write an entry so that a reader finds the old file or the new one, never a part.

    beside: under the name of its content, so it replaces no other submission.
    Safe when processes write at once: each has a file of its own and the last to finish is kept.
    Raises `VerificationError` for an entry that could not be read back.
    """
    path = entry_path(out, entry.protocol.name, entry.dataset.name, entry.entry_id)
    if beside:
        path = path.with_name(submission_name(entry))
    try:
        text = entry.to_text()
    except ValueError as error:
        raise VerificationError(f"{path}: the entry has no JSON form: {error}.") from error
    if len(text) > MAX_ENTRY_BYTES:
        raise VerificationError(f"{path}: {too_large()}")
    parse_entry(text, str(path))
    write_text(path, text)
    return path


def read_entry(path: str | Path) -> Entry:
    """Read and check one entry file.

    Raises `VerificationError` that names the file and what is wrong with it.
    """
    return read_entry_values(path)[0]


def read_entry_values(path: str | Path) -> tuple[Entry, dict[str, Any]]:
    """As `read_entry`, with the JSON values of the file."""
    path = Path(path)
    entry, values = parse_values(Entry, read_text(path), str(path), SCHEMA_VERSION)
    # The hash in the other name takes as long as reading.
    if path.name != f"{entry.entry_id}.json" and path.name != submission_name(entry):
        raise VerificationError(
            f"{path} holds the entry {entry.entry_id}; its name must be {entry.entry_id}.json, or "
            f"{submission_name(entry)} for an entry from elsewhere."
        )
    return entry, values


def read_entries(folder: str | Path) -> tuple[list[Entry], list[str]]:
    """Read every ``*.json`` of one leaderboard, by file name; a bad file never stops the others.

    Returns the entries and, for each file refused, a line that names it and says why.
    Raises `UsageError` if there is no such folder.
    """
    folder = _existing_folder(folder)
    entries: list[Entry] = []
    problems: list[str] = []
    for path in entry_files(folder):
        try:
            entries.append(read_entry(path))
        except VerificationError as error:
            problems.append(str(error))
    return entries, problems


def entry_files(folder: str | Path) -> list[Path]:
    """The files of one leaderboard that should be entries, by name."""
    return sorted(path for path in Path(folder).glob("*.json") if path.name[0] not in "._")


def about(folder: str | Path) -> str:
    """What a folder's keeper says of its leaderboards, as Markdown; empty where nothing is said."""
    path = Path(folder) / ABOUT
    if not path.exists():
        return ""
    if path.is_symlink():
        # Shown word for word: a link would show any file that the reader may read.
        raise VerificationError(f"{path} is a link. Put the text itself there.")
    return read_text(path).rstrip() + "\n\n"


def submission_files(folder: str | Path, entry_id: str) -> list[Path]:
    """The files of one leaderboard that should be entries with this id, by name."""
    return [path for path in entry_files(folder) if path.name.startswith(f"{entry_id}.")]


def leaderboard_folders(folder: str | Path) -> list[Path]:
    """The leaderboards in a folder, which may be one itself, a protocol's, or the root of all.

    Those that links lead to out of the folder are left out (`linked_out`).
    Raises `UsageError` if there is no such folder.
    """
    folder = Path(folder)
    return [found for found in _folders(folder) if not _leads_out(found, folder)]


def linked_out(folder: str | Path) -> dict[Path, str]:
    """Where leaderboards are not read because links lead to them out of the folder, and why."""
    folder = Path(folder)
    refused = {found: _leads_out(found, folder) for found in _folders(folder)}
    return {found: reason for found, reason in refused.items() if reason}


def _leads_out(leaderboard: Path, folder: Path) -> str:
    try:
        require_inside(leaderboard, folder)
    except VerificationError as error:
        return str(error)
    return ""


def _folders(folder: Path) -> list[Path]:
    return sorted(_holding_records(_existing_folder(folder), _LEVELS))


def _holding_records(folder: Path, levels: int) -> Iterator[Path]:
    """The folders with JSON files, in them or in one beside the entries, down to some level."""
    holds, inner, beside = False, [], []
    with contextlib.suppress(OSError), os.scandir(folder) as places:
        for place in places:
            if place.name.endswith(".json"):
                holds = True
            # What starts with a dot is hidden; with an underscore it is beside the entries.
            elif place.name[0] == "_":
                beside.append(folder / place.name)
            elif place.name[0] != "." and levels > 1:
                inner.append(folder / place.name)
    if holds or any(_holds_json(path) for path in beside):
        yield folder
    for path in inner:
        yield from _holding_records(path, levels - 1)


def _holds_json(folder: Path) -> bool:
    with contextlib.suppress(OSError), os.scandir(folder) as places:
        return any(place.name.endswith(".json") for place in places)
    return False


def read_leaderboards(
    folder: str | Path, dataset: str | None = None, even_empty: bool = False
) -> tuple[list[Entry], list[str]]:
    """Read all leaderboards under a folder, or only those of one dataset; as `read_entries`.

    Raises `UsageError` if no entry is found, saying what to run, unless `even_empty`.
    """
    entries: list[Entry] = []
    problems: list[str] = [*linked_out(folder).values()]
    for leaderboard in leaderboard_folders(folder):
        found, refused = read_entries(leaderboard)
        entries += found
        problems += refused
    names = sorted({entry.dataset.name for entry in entries})
    if dataset is not None:
        entries = [entry for entry in entries if entry.dataset.name == dataset]
    if not entries and not even_empty:
        refused = "".join(f"\nRefused: {problem}" for problem in problems)
        if dataset is not None and names:
            raise UsageError(
                f"{folder} has no entry for the dataset {dataset!r}. It has: {', '.join(names)}."
                f"{refused}"
            )
        raise UsageError(
            f"{folder} holds no entry that can be read. `dmlbench run --leaderboards "
            f"DIR` makes them there.{refused}"
        )
    return entries, problems


def find_entry(out: str | Path, id_prefix: str) -> Entry:
    """Read the one entry whose id starts so, anywhere under `out`, or that of a file's path.

    Raises `UsageError` if none or several fit, naming them, and `VerificationError` if the file
    found is not an entry.
    """
    return read_entry(find_entry_file(out, id_prefix))


def find_entry_file(out: str | Path, id_prefix: str) -> Path:
    """The file of the one entry whose id starts so, unread; as `find_entry`."""
    if id_prefix.endswith(".json") or os.sep in id_prefix:
        if not Path(id_prefix).exists():
            raise UsageError(f"There is no file {id_prefix}.")
        return Path(id_prefix)
    prefix = id_prefix.lower()
    if not re.fullmatch(r"[0-9a-f]{1,16}|[0-9a-f]{16}\.[0-9a-f]{0,8}", prefix):
        raise UsageError(
            f"{id_prefix!r} is not an entry id: up to 16 hexadecimal digits, as "
            f"`dmlbench leaderboard show` has them in the column Entry, or a path."
        )
    files = [
        path
        for folder in leaderboard_folders(out)
        for path in sorted(folder.glob("*.json"))
        if _STEM.fullmatch(path.stem)
    ]
    matching = [path for path in files if path.stem.startswith(prefix)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UsageError(f"{id_prefix} matches {len(matching)} entries: {_listed(matching)}.")
    there = f" It has: {_listed(files)}." if files else " It has none at all."
    raise UsageError(f"{out} has no entry whose id starts with {id_prefix}.{there}")


def _existing_folder(folder: str | Path) -> Path:
    folder = Path(folder)
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file; leaderboards are folders. `dmlbench info` shows one entry, and "
            f"`dmlbench leaderboard verify` checks one."
        )
    if not folder.is_dir():
        raise UsageError(
            f"There is no folder {folder}. `dmlbench run --leaderboards DIR` makes "
            f"leaderboards there."
        )
    return folder


def _listed(paths: list[Path], most: int = 10) -> str:
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(str(path) for path in paths[:most]) + more
