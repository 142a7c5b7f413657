"""Files of published results: ``<out>/<protocol>/<dataset>/_published/<id>.json``."""

from __future__ import annotations

from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.files import write_text
from dmlbench.leaderboard.entries.parsing import parse_record
from dmlbench.leaderboard.entries.published import SCHEMA_VERSION, PublishedResult
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.store import entry_path, leaderboard_folders

#: Where they are stored beside a leaderboard's entries, and where they were until zsl-v2.
FOLDER, FORMER_FOLDER = FOLDERS = ("_published", "_claims")


def parse_published(text: str, source: str) -> PublishedResult:
    """Read one from JSON text. Raises `VerificationError` that names the file and the field."""
    return parse_record(PublishedResult, text, source, SCHEMA_VERSION)


def read_published(path: Path) -> PublishedResult:
    """Read one file. Raises `VerificationError` that names it and says what is wrong with it."""
    result = parse_published(read_text(path), str(path))
    if path.name != f"{result.published_id}.json":
        raise VerificationError(
            f"{path}: its content belongs into {result.published_id}.json; it was changed "
            f"after it was made."
        )
    return result


def published_files(leaderboard: str | Path) -> list[Path]:
    """The files beside a leaderboard's entries that should be published results, by name."""
    found = [file for name in FOLDERS for file in (Path(leaderboard) / name).glob("*.json")]
    return sorted(found, key=lambda file: file.name)


def read_published_beside(leaderboard: str | Path) -> tuple[list[PublishedResult], list[str]]:
    """The published results beside a leaderboard's entries, and a line for each file refused."""
    results: list[PublishedResult] = []
    problems: list[str] = []
    for path in published_files(leaderboard):
        try:
            results.append(read_published(path))
        except VerificationError as error:
            problems.append(str(error))
    return results, problems


def read_all_published(
    folder: str | Path, dataset: str | None = None
) -> tuple[list[PublishedResult], list[str]]:
    """Those of all leaderboards under a folder, or of one dataset; as `read_published_beside`."""
    results: list[PublishedResult] = []
    problems: list[str] = []
    for leaderboard in leaderboard_folders(folder):
        found, refused = read_published_beside(leaderboard)
        results += [result for result in found if dataset in (None, result.dataset)]
        problems += refused
    return results, problems


def write_published(out: str | Path, result: PublishedResult) -> tuple[Path, bool]:
    """Write a published result; gives its path, and whether it is new."""
    folder = entry_path(out, result.protocol, result.dataset, result.published_id).parent
    name = f"{result.published_id}.json"
    if (former := folder / FORMER_FOLDER / name).exists():
        return former, False
    path = folder / FOLDER / name
    new = not path.exists()
    if new:
        write_text(path, result.to_text())
    return path, new
