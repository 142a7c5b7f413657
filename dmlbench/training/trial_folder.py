"""Files of trials: where a trial keeps its checkpoint, result, embeddings and log.

``<out>/.trials/<entry id>/<code>/seed-<n>/``, on random class splits ``split-<s>-seed-<n>/``, with
`code` the hash of the code that the numbers depend on: results of changed code are never mixed with
those of the old, and neither is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.files import write_atomically
from dmlbench.leaderboard.entries.trial import trial_folder_name
from dmlbench.leaderboard.entries.trial_result import TrialResult, ValidationResult

TRIALS = ".trials"
RESULT = "result.json"
WEIGHTS = "weights.safetensors"
Kind = TypeVar("Kind", TrialResult, ValidationResult)


class TrialLocked(DmlbenchError):
    """Another process is training this trial."""


class TrialFolder:
    """The files of one trial.

    out: the leaderboards folder. code: hash of the code that decides the numbers.
    """

    def __init__(self, out: Path, entry_id: str, code: str, seed: int, split: int = 0) -> None:
        self.out = out
        self.code = code
        self.path = out / TRIALS / entry_id / code[:12] / trial_folder_name(split, seed)
        self.result_file = self.path / RESULT
        self.checkpoint_file = self.path / "checkpoint.pt"
        self.refit_file = self.path / "refit-checkpoint.pt"
        self.trained_file = self.path / "trained.pt"
        self.embeddings_file = self.path / "embeddings.safetensors"
        self.weights_file = self.path / WEIGHTS
        self.log_file = self.path / "log.txt"
        self._owner = os.getpid()

    def create(self) -> None:
        """Make the folder."""
        make_folder(self.out, self.path)

    def read_result(self) -> TrialResult | None:
        """The finished trial's result, or None where it has not finished."""
        return read_result(self.path, TrialResult)

    def read_validation(self) -> ValidationResult | None:
        """The result of a finished training for tuning, or None where it has not finished."""
        return read_result(self.path, ValidationResult)

    def write_result(self, result: TrialResult | ValidationResult) -> None:
        """Record the finished trial; from then on it is never repeated."""
        self.end_if_forked()
        write_atomically(self.result_file, lambda file: file.write(result.to_text().encode()))
        for path in (self.checkpoint_file, self.refit_file, self.trained_file):
            path.unlink(missing_ok=True)

    def end_if_forked(self) -> None:
        """End a process that a trial's code forked: it must not write for the trial."""
        if os.getpid() != self._owner:
            print("a process that was forked while training ends here", flush=True)
            os._exit(1)

    def discard_result(self) -> None:
        """Forget the result, so the trial is trained again."""
        self.result_file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, wait: bool = False) -> Iterator[None]:
        """Hold the trial for this process.

        Raises `TrialLocked` while another one has it, unless it is to `wait` for that.
        """
        self.create()
        with open(self.path / "lock", "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise TrialLocked(f"{self.path} is being trained by another run") from error
            for leftover in self.path.glob(".*"):
                leftover.unlink()  # of a process that was killed while it wrote
            yield


@contextlib.contextmanager
def entry_lock(out: Path, entry_id: str) -> Iterator[None]:
    """Hold an entry while it is made from its trials, waiting for any other process that has it.

    An entry is read from all finished trials and then replaced: without the lock, a process that
    read before another's trial finished could write after it, and that trial's seed would be gone
    from the entry.
    """
    folder = out / TRIALS / entry_id
    make_folder(out, folder)
    with open(folder / "lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_folder(out: Path, folder: Path) -> None:
    """Make a folder under ``.trials``, and keep everything there out of git.

    Raises `UsageError` where ``.trials`` is a link that leads to no folder.
    """
    trials = out / TRIALS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if trials.is_symlink() and not os.path.isdir(trials):
            raise UsageError(
                f"{trials} is a link to {os.readlink(trials)}, which leads to no folder. Make that "
                f"folder, or remove the link."
            ) from error
        raise
    ignore = trials / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n")


def read_result(folder: Path, kind: type[Kind]) -> Kind | None:
    """The result in a trial's folder, or None where there is none that can be read."""
    try:
        return kind.model_validate(json.loads((folder / RESULT).read_text("utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # We write it whole or not at all; whatever else it is, training again replaces it.
        return None
