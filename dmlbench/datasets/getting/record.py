"""What was downloaded, and where sets are stored: two small JSON files.

``downloads.json`` in a set's folder records each file's address, size and digests, and what it
unpacked to. A file without a published checksum is trusted the first time and must be the same
afterwards. ``places.json`` in the data folder names the folders of sets that are elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmlbench.data.images import DatasetError
from dmlbench.data.locations import PLACES, data_home, places
from dmlbench.datasets.getting.download import Downloaded
from dmlbench.files import write_atomically

RECORD = "downloads.json"


def remember_place(name: str, folder: Path) -> None:
    """Make `folder` the place of a set from now on. Raises `OSError` where that cannot be noted."""
    before = places()
    after = {**before, name: folder.absolute()}
    if after[name] == data_home().absolute() / name:
        del after[name]
    if after != before:
        _write_json(data_home() / PLACES, {key: str(path) for key, path in after.items()})


class DownloadRecord:
    """What the files of one folder were.

    place: the folder. Raises `DatasetError` where its record cannot be read.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.file = place / RECORD
        try:
            self._files: dict[str, dict[str, Any]] = json.loads(self.file.read_text("utf-8"))
            if not all(isinstance(value, dict) for value in self._files.values()):
                raise ValueError("not an object of objects")
        except (FileNotFoundError, NotADirectoryError):
            self._files = {}
        except (OSError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"{self.file}, which says what was downloaded, cannot be read ({error}). "
                "Correct it, or remove it to trust what is downloaded next."
            ) from error

    def checksum(self, name: str) -> str:
        known = self._files.get(name, {}).get("sha256")
        return f"sha256:{known}" if known else ""

    def url(self, name: str) -> str | None:
        return self._files.get(name, {}).get("url")

    def entries(self, name: str) -> list[str]:
        return self._files.get(name, {}).get("entries", [])

    def is_unpacked(self, name: str) -> bool:
        entries = self.entries(name)
        return bool(entries) and all((self.place / entry).exists() for entry in entries)

    def note(self, name: str, url: str | None, had: Downloaded) -> None:
        noted = {"url": url, "num_bytes": had.num_bytes, **had.digests}
        if self._files.get(name, {}).get("sha256") == had.digests["sha256"]:
            noted = {**self._files[name], **noted}
        self._files[name] = noted
        self._write()

    def note_entries(self, name: str, entries: Sequence[str]) -> None:
        self._files[name]["entries"] = list(entries)
        self._write()

    def _write(self) -> None:
        _write_json(self.file, self._files)


def _write_json(file: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(dict(values), indent=1, sort_keys=True) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, lambda opened: opened.write(text.encode()))
