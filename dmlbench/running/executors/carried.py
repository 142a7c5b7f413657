"""A trial's files between two machines: what a training resumes from, and what it leaves.

Whoever drives the run keeps a trial's folder; a node has one of its own for as long as it trains.
No file system is shared: files travel as bytes, a log as what was added to it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmlbench.errors import DmlbenchError
from dmlbench.files import write_atomically
from dmlbench.leaderboard.entries.trial_result import TrialResult, ValidationResult
from dmlbench.training.trial_folder import TrialFolder

Files = Mapping[str, bytes]


def files_to_go_on_from(folder: TrialFolder) -> Files:
    """The checkpoints of a folder, by name."""
    return _contents(folder.checkpoint_file, folder.refit_file)


def files_left(folder: TrialFolder) -> Files:
    """What a tested trial leaves beside its result, by name."""
    return _contents(folder.embeddings_file, folder.weights_file)


def write_files(folder: TrialFolder, files: Files) -> None:
    """Write files that came from another machine; of other names than a trial's, none."""
    known = {
        path.name
        for path in (
            folder.checkpoint_file,
            folder.refit_file,
            folder.embeddings_file,
            folder.weights_file,
        )
    }
    for name in sorted(known.intersection(files)):
        content = files[name]
        write_atomically(folder.path / name, lambda file, content=content: file.write(content))


def write_result(folder: TrialFolder, kind: str, result: Mapping[str, Any]) -> None:
    """Record a result that came from another machine. Raises `DmlbenchError` for a bad one."""
    model = ValidationResult if kind == "validation" else TrialResult
    try:
        found = model.model_validate(result)
    except ValueError as error:
        raise DmlbenchError("its result cannot be read") from error
    folder.write_result(found)


class Changes:
    """Which files of a training have changed since they were last asked for."""

    def __init__(self, folder: TrialFolder) -> None:
        self._folder = folder
        self._sent: dict[Path, tuple[int, int]] = {}
        self._logged = 0

    def checkpoints(self) -> Files:
        """The newest checkpoints, as far as they are new."""
        new = []
        for path in (self._folder.checkpoint_file, self._folder.refit_file):
            try:
                status = os.stat(path)
            except FileNotFoundError:
                continue
            version = status.st_ino, status.st_mtime_ns
            if self._sent.get(path) != version:
                self._sent[path] = version
                new.append(path)
        return _contents(*new)

    def log(self) -> bytes:
        """What was added to the log."""
        try:
            with open(self._folder.log_file, "rb") as file:
                file.seek(self._logged)
                added = file.read()
        except FileNotFoundError:
            return b""
        self._logged += len(added)
        return added


def _contents(*paths: Path) -> Files:
    found = {}
    for path in paths:
        try:
            found[path.name] = path.read_bytes()
        except FileNotFoundError:
            continue
    return found
