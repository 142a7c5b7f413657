"""What a training leaves for the test, in a file: all that the process that embeds knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from dmlbench.errors import DmlbenchError
from dmlbench.training.checkpoint import (
    DamagedCheckpoint,
    keep_damaged,
    read_checkpoint,
    write_checkpoint,
)
from dmlbench.training.train import TrainingProgress
from dmlbench.training.trial_folder import TrialFolder


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    state: to be tested, of each module, as `TrainingModules.modules` names them.
    metadata: JSON values of a `TrialMetadata`. fingerprint: of the data that were trained on.
    course: the part of a trial's record that tells how it was trained.
    cost: seconds of all training together, and of the second training, None without one.
    peak: memory, as `dmlbench.training.environment.peak_memory_bytes` gives it.
    """

    state: Mapping[str, Mapping[str, Tensor]]
    metadata: Mapping[str, Any]
    fingerprint: str
    course: Mapping[str, Any]
    cost: Mapping[str, float | None]
    peak: Mapping[str, int]

    def write(self, path: Path) -> None:
        """Write it whole or not at all. Raises `OSError` where the disk refuses."""
        write_checkpoint(path, vars(self))


def read_trained(path: Path) -> Trained | None:
    """What `Trained.write` wrote, on the CPU; None where there is no file.

    Raises `DmlbenchError` for a file that was damaged since; the next run makes it again.
    """
    try:
        found = read_checkpoint(path)
    except DamagedCheckpoint as error:
        raise DmlbenchError(
            f"{error}; it is kept as {keep_damaged(path)}. Run the same command again."
        ) from error
    if found is not None and "facts" in found:  # their name before 0.2
        found["metadata"] = found.pop("facts")
    return None if found is None else Trained(**found)


def trained_in(folder: TrialFolder) -> Trained:
    """What a training left in the folder of its trial. Raises `DmlbenchError` where nothing is."""
    trained = read_trained(folder.trained_file)
    if trained is None:
        raise DmlbenchError(
            f"There is nothing to test: {folder.trained_file} is missing. Run the same command "
            f"again."
        )
    return trained


def check_same_data(trained: Trained, fingerprint: str) -> None:
    """Raise `DmlbenchError` unless these are the data that were trained on."""
    if fingerprint != trained.fingerprint:
        raise DmlbenchError(
            "The data changed between training and test. Run the same command again, which trains "
            "on those that are there now."
        )


def course_of(first: TrainingProgress, again: TrainingProgress | None) -> dict[str, Any]:
    """How a trial was trained: by the first training, and by the second, if there was one."""
    return {
        "best_epoch": first.best_epoch,
        "validation_map_at_r": first.best_value,
        "history": first.history,
        "refit_history": None if again is None else again.history,
    }


def cost_of(
    first: TrainingProgress, again: TrainingProgress | None, on_cpu: bool
) -> dict[str, float | None]:
    """Wall clock and processor seconds of all training, and those that held an accelerator."""
    trainings = [first] if again is None else [first, again]
    seconds = sum(training.train_seconds for training in trainings)
    return {
        "train_seconds": seconds,
        "process_seconds": sum(training.process_seconds for training in trainings),
        "device_seconds": None if on_cpu else seconds,
        "refit_seconds": None if again is None else again.train_seconds,
    }
