"""Entries from elsewhere become part of a leaderboard, once they pass the checks.

An entry is data: it is parsed with the strict schema and written again, so nothing but what
the schema knows gets in.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmlbench.errors import DmlbenchError, UsageError, VerificationError
from dmlbench.files import require_writable
from dmlbench.leaderboard.entries.entry import Entry, parse_entry
from dmlbench.leaderboard.entries.fetch import fetch_text, is_address
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.published_store import FOLDERS, parse_published, write_published
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.store import (
    entry_files,
    entry_path,
    read_entry,
    write_entry,
)
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.cross_entry_checks import clashes


@dataclass(frozen=True)
class Addition:
    """What became of one source.

    path: where it is stored now; None where it was refused, for `problems`.
    outcome: "added", "beside" (others submitted the same configuration; who submits is what a file
        says, so no file takes the place of another), "there already" or "refused".
    """

    source: str
    outcome: str
    path: Path | None = None
    label: str = ""
    problems: tuple[str, ...] = ()


def add(source: str, out: str | Path) -> list[Addition]:
    """Check the entries at a file, folder or web address and add them to the leaderboards in `out`.

    One that is refused never stops the others.
    Raises `UsageError` for a source that is not there, or where nothing can be written in `out`.
    """
    require_writable(Path(out), "Give another folder with --leaderboards.")
    boards = _Boards()
    return [_add(name, text, Path(out), boards) for name, text in _texts(source)]


class _Boards:
    """The entries of the leaderboards that are added to, each read from the disk once."""

    def __init__(self) -> None:
        self._entries: dict[Path, dict[Path, Entry]] = {}

    def entries(self, leaderboard: Path) -> dict[Path, Entry]:
        """Those that can be read, by file; whoever writes another adds it here."""
        if leaderboard not in self._entries:
            found = self._entries[leaderboard] = {}
            for path in entry_files(leaderboard):
                with contextlib.suppress(VerificationError):
                    found[path] = read_entry(path)
        return self._entries[leaderboard]


def _texts(source: str) -> Iterator[tuple[str, str | DmlbenchError]]:
    """Each file's name and text, or why it has none."""
    if is_address(source):
        yield source, _caught(fetch_text, source)
        return
    path = Path(source)
    if path.is_dir():
        files = sorted(
            file
            for file in path.rglob("*.json")
            if not any(part[0] in "._" for part in file.relative_to(path).parts)
        ) + sorted(file for name in FOLDERS for file in path.rglob(f"{name}/*.json"))
        if not files:
            raise UsageError(f"{path} holds no .json file; entries are files named by their id.")
    elif path.exists():
        files = [path]
    else:
        raise UsageError(f"There is no {path}. Give an entry's file, a folder, or an address.")
    for file in files:
        root = path if path.is_dir() else None
        yield str(file), _caught(read_text, file, root=root)


def _caught(read, *arguments, **options) -> str | DmlbenchError:
    try:
        return read(*arguments, **options)
    except VerificationError as error:
        return error


def _add(source: str, text: str | DmlbenchError, out: Path, boards: _Boards) -> Addition:
    if isinstance(text, DmlbenchError):
        return Addition(source, "refused", problems=(str(text),))
    try:
        if _is_published(text):
            return _add_published(source, parse_published(text, plain(source)), out)
        entry = parse_entry(text, plain(source))
        place = entry_path(out, entry.protocol.name, entry.dataset.name, entry.entry_id)
    except DmlbenchError as error:
        return Addition(source, "refused", problems=(str(error),))
    label = Labels([entry]).row(entry)
    problems = [f"{failure.check}: {failure.message}" for failure in check_entry(entry)]
    there = boards.entries(place.parent)
    problems += _clashes(entry, [other for other in there.values() if other != entry])
    if problems:
        return Addition(source, "refused", label=label, problems=tuple(problems))
    rivals = {path: e for path, e in there.items() if path.name.startswith(f"{place.stem}.")}
    for path, other in rivals.items():
        if other == entry:
            return Addition(source, "there already", path, label)
    new = write_entry(out, entry, beside=True)
    there[new] = entry
    return Addition(source, "beside" if rivals else "added", new, label)


def _is_published(text: str) -> bool:
    if '"source"' not in text:
        return False
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(data, dict) and "source" in data


def _clashes(entry: Entry, others: Sequence[Entry]) -> list[str]:
    """What does not hold between the entry and those that are there."""
    names = [f"{other.entry_id} ({plain(other.label, 60)})" for other in others]
    last = len(others)
    return [
        f"{clash.failure.check}: {clash.failure.message}"
        for clash in clashes([*others, entry], [*names, "this entry"])
        if clash.failure is not None and last in clash.entries
    ]


def _add_published(source: str, result: PublishedResult, out: Path) -> Addition:
    path, new = write_published(out, result)
    return Addition(source, "added" if new else "there already", path, result.label)
