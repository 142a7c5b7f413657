"""What processes are told to do, and the job that makes data and components ready."""

from __future__ import annotations

import importlib.util
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmlbench.errors import DmlbenchError, PluginError, UsageError
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.running.executors.confinement import Confinement
from dmlbench.running.executors.events import Executor
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.planning import PlannedTrial

_log = logging.getLogger(__name__)

#: Why a job failed whose process sent something else as its result.
NO_RESULT = "the process that trained it sent a result that cannot be read"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster of Ray that trials run on.

    address: None for the one that Ray finds from here, or starts on this machine.
    gpus_per_trial: above 0, at most 1; several trials share a GPU with a fraction.
    """

    address: str | None = None
    gpus_per_trial: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a run may use: `jobs` trials at once, with `threads` threads each, on `device`.

    jobs: None for as many as the processor has room for, or on each GPU as many as pay and fit
        (`dmlbench.running.executors.sharing`).
    device: as of `dmlbench.running.executors.devices.found_devices`: "cpu", "cuda" for every
        visible GPU, "cuda:1", "cuda:0,cuda:2", or "auto" for CUDA where it is there.
    clustering: whether to spend time on NMI and AMI; without, they are None, and nothing else
        about an entry changes.
    keep_weights: whether trials leave the weights that were tested beside their embeddings.
    trial_timeout: seconds without progress after which a trial is ended; None for never.
    confined: how the processes that train are confined; None for not at all.
    until: the time (`time.monotonic`) at which every trial is ended; None for never.
    cluster: None for this machine.
    deterministic: whether a GPU is to add in a fixed order; False for what is faster.
    """

    jobs: int | None = None
    threads: int = 1
    device: str = "auto"
    clustering: bool = True
    keep_weights: bool = True
    trial_timeout: float | None = None
    confined: Confinement | None = None
    until: float | None = None
    cluster: Cluster | None = None
    deterministic: bool = True

    def executor(self, configurations: Iterable[Configuration], registry: Registry) -> Executor:
        """What runs the jobs, one at a time until it is told to make room.

        configurations: that will be trained; a cluster must have their packages.
        Raises `UsageError` where there is no such cluster, or Ray is not installed.
        """
        if self.cluster is None:
            return LocalExecutor(1, self.threads, self.trial_timeout, self.confined, self.until)
        if importlib.util.find_spec("ray") is None:
            raise UsageError("--executor ray takes Ray: pip install 'dmlbench[ray]'.")
        from dmlbench.running.executors.packages import packages_of
        from dmlbench.running.executors.ray_cluster import RayExecutor
        from dmlbench.running.executors.ray_room import Share

        return RayExecutor(
            self.cluster.address,
            packages_of(configurations, registry),
            Share(self.device, self.threads, self.cluster.gpus_per_trial),
            self.trial_timeout,
            self.confined is not None,
            self.until,
        )


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
        "deterministic": resources.deterministic,
    }


def prepare(
    needed: Iterable[tuple[Configuration, int]],
    executor: Executor,
    messages: Mapping[str, Mapping[str, Any]],
) -> tuple[list[str], list[str]]:
    """Build every configuration once, so what is wrong shows before any training.

    needed: each configuration with each class split that it is trained on, all on one dataset.
        Every configuration is built on its first split, and on every other split one of them.
    messages: by entry id.
    Gives the decisions that loading the data took, and the devices. Raises `DmlbenchError` that
    names what is at fault (`dmlbench.training.readiness`).
    """
    devices: list[str] = []
    reports: dict[str, None] = {}
    errors = {UsageError.exit_code: UsageError, PluginError.exit_code: PluginError}
    jobs: Iterator[Any] = (
        (configuration, {"kind": "prepare", **messages[configuration.entry_id], "split": split})
        for configuration, split in _once_each(needed)
    )
    jobs = (
        # Devices are looked for once: each that is tried costs the time to open it.
        (configuration, message if index == 0 else {**message, "device": "cpu"})
        for index, (configuration, message) in enumerate(jobs)
    )
    for event in executor.run(jobs):
        name = event.job.label()
        if event.kind == "done":
            report, found = _prepared(name, event.values["result"])
            devices = devices or found
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
    return list(reports), devices


def _once_each(needed: Iterable[tuple[Configuration, int]]) -> list[tuple[Configuration, int]]:
    """Of configurations with splits those that show each of either, in the order of the splits."""
    chosen, built, loaded = [], set(), set()
    for configuration, split in sorted(needed, key=lambda pair: pair[1]):
        if configuration.entry_id not in built or split not in loaded:
            chosen.append((configuration, split))
        built.add(configuration.entry_id)
        loaded.add(split)
    return chosen


def _prepared(name: str, result: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    report, devices = result.get("report"), result.get("devices")
    if not isinstance(devices, list) or not devices or not isinstance(report, list):
        raise DmlbenchError(f"{name} cannot be trained: {NO_RESULT}")
    return [str(line) for line in report], [str(device) for device in devices]


def still_message(name: str, values: Mapping[str, Any], trial: PlannedTrial | None = None) -> str:
    """That a job shows no progress, in a sentence. `values`: of the executor's event."""
    seconds = values["seconds"]
    since = f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
    log = "" if trial is None else f" Its log: {trial.folder.log_file}."
    advice = " --trial-timeout SECONDS would end such a trial." if values["lacks_limit"] else ""
    return f"{name} has shown no progress for {since} while {values['stage']}.{log}{advice}"
