"""Verify leaderboards: check everything again, and name what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.attestation import (
    attestation_files,
    read_attestations,
)
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.published_store import published_files, read_published
from dmlbench.leaderboard.entries.store import (
    ABOUT,
    about,
    entry_files,
    leaderboard_folders,
    linked_out,
    read_entry,
)
from dmlbench.leaderboard.verification.attested import attested
from dmlbench.leaderboard.verification.bundle_reading import Bundle
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.verification.cross_entry_checks import (
    Clash,
    copies,
    fingerprint_clashes,
    label_clashes,
)
from dmlbench.leaderboard.verification.ground_truth import GroundTruths
from dmlbench.leaderboard.verification.tiers import TIERS, Tiers, Verification, tier
from dmlbench.leaderboard.verification.verify_entry import Verified, verify_one

__all__ = ["TIERS", "Verification", "Tiers", "Verified", "tier", "verify"]


def verify(
    target: str | Path,
    *,
    embeddings: bool = True,
    rebuild: bool = False,
    bundle: Bundle | None = None,
    watch: Callable[[Verified], None] = lambda found: None,
) -> list[Verified]:
    """Verify the entries under a folder, or those of one file's, every file's alone and together.

    embeddings: compute the metrics again from the stored embeddings, where they are here.
    rebuild: build every dataset that is on this machine, to compare labels and fingerprints with;
        without it only those that come with dmlbench are.
    bundle: has embeddings that are not here.
    watch: called with each file when it is done, before the checks across several files.
    Raises `UsageError` if there is no such folder, or for a file that cannot be an entry.
    """
    target = Path(target)
    if target.is_file() and published_files(target.parent.parent).count(target):
        return [_verify_published(target)]
    boards = _boards(target)
    truths = GroundTruths(everything=rebuild)
    for board in boards:
        for verified in board.chosen:
            if verified.entry is not None:
                verify_one(verified, truths, embeddings, bundle)
            watch(verified)
        _verify_between(board.entries)
    everywhere = [verified for board in boards for verified in board.entries]
    names = _names([verified.path for verified in everywhere])
    _mark(everywhere, copies([verified.entry for verified in everywhere], names))
    found = [verified for board in boards for verified in _judged(board, embeddings)]
    if target.is_dir():
        return [*_linked_out(target), *_unreadable_texts(target), *found]
    return found


def _linked_out(folder: Path) -> list[Verified]:
    """The leaderboards that are not read because links lead to them out of the folder."""
    found = []
    for path, reason in linked_out(folder).items():
        verified = Verified(path)
        verified.fail("link", reason)
        found.append(verified)
    return found


def _unreadable_texts(folder: Path) -> list[Verified]:
    """What keepers say of the leaderboards in a folder, where it cannot be shown."""
    found = []
    for path in sorted(path for level in ("", "*/", "*/*/") for path in folder.glob(level + ABOUT)):
        try:
            about(path.parent)
        except VerificationError as error:
            verified = Verified(path)
            verified.fail("about", str(error).removeprefix(f"{path}").lstrip(": "))
            found.append(verified)
    return found


@dataclass(frozen=True)
class _Board:
    """The files of one leaderboard.

    entries: those that could be read as entries; chosen: the files to verify, readable or not.
    whole: whether the folder was asked for, and not a file in it.
    """

    folder: Path
    entries: list[Verified]
    chosen: list[Verified]
    whole: bool


def _boards(target: Path) -> list[_Board]:
    """Read the leaderboards under a folder, or the one that a file is in."""
    if target.is_file() and target not in entry_files(target.parent):
        raise UsageError(
            f"{target} cannot be an entry: those are files ID.json or ID.HASH.json. Give one, or a "
            f"folder of leaderboards."
        )
    boards = []
    for folder in [target.parent] if target.is_file() else leaderboard_folders(target):
        files = [_read(path) for path in entry_files(folder)]
        entries = [verified for verified in files if verified.entry is not None]
        labels = Labels(verified.entry for verified in entries)
        for verified in entries:
            verified.label = labels.row(verified.entry)
        alone = [verified for verified in files if verified.path.name == target.name]
        boards.append(
            _Board(folder, entries, alone if target.is_file() else files, target.is_dir())
        )
    return boards


def _judged(board: _Board, embeddings: bool) -> Iterator[Verified]:
    """The files of a board with the tier that attestations give each entry.

    Of a whole board also its published results and attestations of entries that are not there.
    """
    attestations = attestation_files(board.folder)
    verification = Tiers(board.folder).verification
    for verified in board.chosen:
        if verified.entry is not None:
            _verify_attestations(verified, attestations.get(verified.entry.entry_id, []))
            if not embeddings and not verified.failures:
                verified.tier = verification(verified.entry).tier
    if board.whole:
        known = {verified.entry.entry_id for verified in board.entries}
        for entry_id, paths in attestations.items():
            if entry_id not in known:
                yield from map(_stray, paths)
        yield from map(_verify_published, published_files(board.folder))
    yield from board.chosen


def _read(path: Path) -> Verified:
    verified = Verified(path)
    try:
        verified.entry = read_entry(path)
    except VerificationError as error:
        verified.fail("schema", str(error).removeprefix(f"{path}").lstrip(": "))
    return verified


def _verify_published(path: Path) -> Verified:
    verified = Verified(path)
    try:
        verified.label = read_published(path).label
        verified.tier = "unverified"
    except VerificationError as error:
        verified.fail("schema", str(error).removeprefix(f"{path}").lstrip(": "))
    return verified


def _stray(path: Path) -> Verified:
    return Verified(path, notes=["an attestation of an entry that is not here"])


def _names(paths: list[Path]) -> list[str]:
    """File names, with their folders' where there are several folders."""
    alone = len({path.parent for path in paths}) < 2
    return [path.name if alone else f"{path.parent.name}/{path.name}" for path in paths]


def _verify_between(entries: list[Verified]) -> None:
    read = [v.entry for v in entries]
    names = [v.path.name for v in entries]
    hashes = {i: v.labels_sha256 for i, v in enumerate(entries)}
    _mark(entries, (*fingerprint_clashes(read, names), *label_clashes(hashes, read, names)))


def _mark(entries: list[Verified], found: Iterable[Clash]) -> None:
    for clash in found:
        for i in clash.entries:
            if clash.failure is not None:
                entries[i].fail(*clash.failure)
            elif clash.note and clash.note not in entries[i].notes:
                entries[i].notes.append(clash.note)


def _verify_attestations(verified: Verified, paths: list[Path]) -> None:
    """Judge what others attested, and give the tier that holds now."""
    attestations, problems = read_attestations(paths)
    for problem in problems:
        verified.fail("attestation", problem)
    entry = verified.entry
    found = attested(entry, attestations)
    verified.notes += found.notes
    for message in found.wrong:
        verified.fail("attestation", message)
    keys = {trial.key for trial in entry.completed}
    numbers_hold = bool(keys) and verified.recomputed.keys() == keys
    if verified.failures:
        verified.tier = "unverified" if check_entry(entry) else "checked"
    else:
        tiers = ["checked", *(["recomputed"] if numbers_hold else []), found.tier or "checked"]
        verified.tier = max(tiers, key=TIERS.index)
