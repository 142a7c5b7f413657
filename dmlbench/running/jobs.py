"""What processes are told to do, and the job that makes data and components ready."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmlbench.errors import DmlbenchError, PluginError, UsageError
from dmlbench.plan.config import Configuration
from dmlbench.running.executors.confinement import Confinement
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.planning import PlannedTrial
from dmlbench.training.environment import available_cores

_log = logging.getLogger(__name__)

#: Why a job failed whose process sent something else as its result.
NO_RESULT = "the process that trained it sent a result that cannot be read"


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use: `jobs` trials at once, with `threads` threads each, on `device`.

    jobs: None for as many as the processor has room for, or 1 on a GPU.
    device: "cpu", "cuda", "cuda:1", ..., or "auto" for CUDA where it is there.
    clustering: whether to spend time on NMI and AMI; without, they are None, and nothing else
        about an entry changes.
    keep_weights: whether trials leave the weights that were tested beside their embeddings.
    trial_timeout: seconds without progress after which a trial is ended; None for never.
    confined: how the processes that train are confined; None for not at all.
    until: the time (`time.monotonic`) at which every trial is ended; None for never.
    """

    jobs: int | None = None
    threads: int = 1
    device: str = "auto"
    clustering: bool = True
    keep_weights: bool = True
    trial_timeout: float | None = None
    confined: Confinement | None = None
    until: float | None = None

    def processes(self, device: str, pending: int) -> int:
        """How many trials run at once, of `pending`, on the device that was found."""
        room = 1 if device != "cpu" else max(1, available_cores() // self.threads)
        return min(self.jobs or room, pending)


class TrialJobs:
    """Jobs of trials: each trains in one process and, once that has ended, is tested in another.

    What is trained is tested before anything else is trained. Unlike a generator it may go on after
    it has run empty.
    trials: with the message that says which trial it is.
    """

    def __init__(self, trials: Iterable[tuple[PlannedTrial, Mapping[str, Any]]]) -> None:
        self._to_train = deque(trials)
        self._to_test: deque[tuple[PlannedTrial, Mapping[str, Any]]] = deque()

    def add_test(self, trial: PlannedTrial, message: Mapping[str, Any]) -> None:
        """A trial is trained."""
        self._to_test.append((trial, message))

    def __iter__(self) -> TrialJobs:
        return self

    def __next__(self) -> tuple[PlannedTrial, dict[str, Any]]:
        for kind, waiting in (("test", self._to_test), ("train", self._to_train)):
            if waiting:
                trial, message = waiting.popleft()
                return trial, {"kind": kind, **message}
        raise StopIteration


def configuration_message(
    configuration: Configuration, out: Path, resources: Resources, without: Sequence[str]
) -> dict[str, Any]:
    """What a process gets for a configuration, whatever it is to do with it."""
    return {
        "configuration": configuration.to_json(),
        "entry_id": configuration.entry_id,
        "without": list(without),
        "out": str(out),
        "threads": resources.threads,
        "device": resources.device,
        "clustering": resources.clustering,
        "keep_weights": resources.keep_weights,
    }


def prepare(
    needed: Iterable[tuple[Configuration, int]],
    executor: LocalExecutor,
    messages: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], str]:
    """Build every configuration once, so what is wrong shows before any training.

    needed: each configuration with each class split that it is trained on, all on one dataset.
        Every configuration is built on its first split, and on every other split one of them.
    messages: by entry id.
    Gives the decisions that loading the data took, and the device. Raises `DmlbenchError` that
    names what is at fault (`dmlbench.training.readiness`).
    """
    device = "cpu"
    reports: dict[str, None] = {}
    errors = {UsageError.exit_code: UsageError, PluginError.exit_code: PluginError}
    jobs: Iterator[Any] = (
        (configuration, {"kind": "prepare", **messages[configuration.entry_id], "split": split})
        for configuration, split in _once_each(needed)
    )
    for event in executor.run(jobs):
        name = event.job.label()
        if event.kind == "done":
            report, device = _prepared(name, event.values["result"])
            reports.update(dict.fromkeys(report))
        elif event.kind == "error":
            raise errors.get(event.values["exit_code"], DmlbenchError)(event.values["message"])
        elif event.kind == "still":
            _log.warning("%s", still_message(name, event.values))
        elif event.kind == "overdue":
            raise DmlbenchError(
                f"{name} cannot be trained: no progress for {event.values['seconds']:.0f} s "
                f"(--trial-timeout) while {event.values['stage']}"
            )
        elif event.kind == "died":
            raise DmlbenchError(
                f"{name} cannot be trained: {event.values['message']}, while data and components "
                f"were made ready"
            )
    return list(reports), device


def _once_each(needed: Iterable[tuple[Configuration, int]]) -> list[tuple[Configuration, int]]:
    """Of configurations with splits those that show each of either, in the order of the splits."""
    chosen, built, loaded = [], set(), set()
    for configuration, split in sorted(needed, key=lambda pair: pair[1]):
        if configuration.entry_id not in built or split not in loaded:
            chosen.append((configuration, split))
        built.add(configuration.entry_id)
        loaded.add(split)
    return chosen


def _prepared(name: str, result: Mapping[str, Any]) -> tuple[list[str], str]:
    report, device = result.get("report"), result.get("device")
    if not isinstance(device, str) or not isinstance(report, list):
        raise DmlbenchError(f"{name} cannot be trained: {NO_RESULT}")
    return [str(line) for line in report], device


def still_message(name: str, values: Mapping[str, Any], trial: PlannedTrial | None = None) -> str:
    """That a job shows no progress, in a sentence. `values`: of the executor's event."""
    seconds = values["seconds"]
    since = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    log = "" if trial is None else f" Its log: {trial.folder.log_file}."
    advice = " --trial-timeout SECONDS would end such a trial." if values["lacks_limit"] else ""
    return f"{name} has shown no progress for {since} while {values['stage']}.{log}{advice}"
