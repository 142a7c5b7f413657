"""Jobs on a cluster of Ray: a trial is a task, wherever there is room for it.

Moritz et al., Ray: A Distributed Framework for Emerging AI Applications, OSDI 2018
(arXiv 1712.05889).

This process drives: it holds the trials' folders and their locks, hands trials to tasks, and takes
what a task tells (`dmlbench.running.executors.node`), checkpoints and results included, through
Ray's object store. Only it writes below the leaderboards' folder, so no file system is shared, and
a run that was begun on one machine can resume on a cluster, or the other way round.

- Before anything is trained, every node that has room for a trial is asked whether it has the
  packages, and makes the data ready. A node that joins later is asked by its first trial.
- A task that is lost, with its worker or its node, is handed out again with the last checkpoint
  that came; Ray itself retries nothing. One that is lost several times without a new checkpoint
  in between is given up: it may be what ends them.
- Where this process ends, Ray ends its tasks. The same command resumes from the checkpoints here.
"""

from __future__ import annotations

import contextlib
import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.running.executors.carried import files_to_go_on_from, write_files, write_result
from dmlbench.running.executors.confinement import Confinement
from dmlbench.running.executors.events import Event
from dmlbench.running.executors.node import Orders, Told
from dmlbench.running.executors.packages import Package
from dmlbench.running.executors.ray_room import Share, nodes_with_room, room
from dmlbench.running.executors.ray_tasks import (
    NotReady,
    connect,
    error_text,
    first_line,
    readied_nodes,
    trial_task,
)
from dmlbench.running.executors.watchdog import WARN_SECONDS, Watchdog
from dmlbench.training.trial_folder import TrialFolder, TrialLocked

_log = logging.getLogger(__name__)

#: So often a trial may be lost without a new checkpoint in between.
MOST_LOSSES = 3
_LOCK_SECONDS = 1.0  # between two looks whether another run has let go of a trial
_ROOM_SECONDS = 5.0  # between two looks how large the cluster is


@dataclass
class _Running:
    """A trial that was handed to a task."""

    job: Any
    message: Mapping[str, Any]
    folder: TrialFolder
    held: contextlib.ExitStack
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    place: str = ""
    losses: int = 0

    def event(self, kind: str, values: Mapping[str, Any]) -> Event:
        """An event of this job."""
        return Event(self.job, kind, values, self.place)


class RayExecutor:
    """Runs trials as tasks of a cluster; of `dmlbench.running.executors.events.Executor`.

    address: of the cluster; None for the one that Ray finds from here, or starts on this machine.
    packages: those that a node must have. share: what one trial takes.
    threads, time_limit, confine, until: as of `LocalExecutor`.
    Raises `UsageError` where there is no such cluster.
    """

    def __init__(
        self,
        address: str | None,
        packages: Iterable[Package],
        share: Share,
        time_limit: float | None = None,
        confine: bool = False,
        until: float | None = None,
    ) -> None:
        connect(address)
        self.stray_messages = 0
        run = uuid.uuid4().hex
        self._share = share.on(ray.cluster_resources())
        self._orders = Orders(run, "", tuple(packages), share.threads, time_limit, confine)
        self._until = until
        self._jobs: int | None = None
        self._room, self._room_known = 1, -_ROOM_SECONDS
        self._running: dict[Any, _Running] = {}  # by the generator of the task
        self._elsewhere: deque[tuple[Any, Mapping[str, Any]]] = deque()
        self._asked_elsewhere = 0.0
        self._confinements: dict[str, Confinement] = {}
        self._fingerprints: dict[Any, str] = {}
        self._waiting_long = Watchdog(None, WARN_SECONDS, time.monotonic)
        self._trial = ray.remote(trial_task).options(
            num_cpus=share.threads,
            num_gpus=self._share.gpus,
            max_retries=0,
            num_returns="streaming",
            # What the driver has not come for is not sent: events wait on the node.
            _generator_backpressure_num_objects=2,
        )

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *exception: Any) -> None:
        for generator, running in self._running.items():
            _cancel(generator)
            running.held.close()
        self._running.clear()

    def make_room(self, devices: list[str], jobs: int | None, pending: int) -> None:
        """Of `Executor`: as many at once as `jobs` says, or as the cluster has room for."""
        self._jobs = jobs

    def confinements(self) -> list[Confinement]:
        """How each kind of node confines."""
        return list(self._confinements.values())

    def run(self, jobs: Iterable[tuple[Any, Mapping[str, Any]]]) -> Iterator[Event]:
        """Of `Executor`. A job of kind "prepare" is done by every node, one of "train" tests too.

        One of kind "test" alone does not come: the node that trains a trial tests it.
        """
        waiting = iter(jobs)
        while True:
            if self._time_is_up():
                yield from self._stop_all(waiting)
            else:
                yield from self._hand_out(waiting)
            if not self._running and not self._elsewhere:
                return
            for generator in self._ready():
                yield from self._take(generator)
            for name, seconds, _, _ in self._waiting_long.still():
                running = next(r for r in self._running.values() if r.name == name)
                stage = "waiting for a node of the cluster with room for it"
                values = {"seconds": seconds, "stage": stage, "lacks_limit": False}
                yield running.event("still", values)

    def _ready(self) -> list[Any]:
        """Tasks that have something to tell; waits for the first one, and not for long."""
        if not self._running:
            time.sleep(_LOCK_SECONDS)
            return []
        found, _ = ray.wait(list(self._running), timeout=_LOCK_SECONDS)
        if not found:
            return []
        found, _ = ray.wait(list(self._running), num_returns=len(self._running), timeout=0)
        return found

    def _capacity(self) -> int:
        if self._jobs is not None:
            return self._jobs
        if time.monotonic() - self._room_known >= _ROOM_SECONDS:
            self._room, self._room_known = max(1, room(self._share)), time.monotonic()
        return self._room

    def _hand_out(self, waiting: Iterator[Any]) -> Iterator[Event]:
        if self._elsewhere and time.monotonic() - self._asked_elsewhere >= _LOCK_SECONDS:
            self._asked_elsewhere = time.monotonic()
            for _ in range(len(self._elsewhere)):
                yield from self._start(*self._elsewhere.popleft())
        while len(self._running) + len(self._elsewhere) < self._capacity():
            job = next(waiting, None)
            if job is None:
                return
            yield from self._start(*job)

    def _start(self, job: Any, message: Mapping[str, Any]) -> Iterator[Event]:
        if message["kind"] == "prepare":
            yield self._prepare(job, message)
            return
        trial = message["entry_id"], message["code"], message["seed"], message["split"]
        folder = TrialFolder(Path(message["out"]), *trial)
        held = contextlib.ExitStack()
        try:
            held.enter_context(folder.locked())
        except TrialLocked as error:
            if message["wait"]:
                self._elsewhere.append((job, message))
            else:
                values = {"message": str(error), "exit_code": error.exit_code, "locked": True}
                yield Event(job, "error", values)
            return
        except OSError as error:
            yield Event(job, "error", {"message": str(error), "exit_code": 1})
            return
        validation = message["kind"] == "validation"
        finished = folder.read_validation() if validation else folder.read_result()
        if finished:  # such as by another run, meanwhile
            held.close()
            yield Event(job, "done", {"result": finished.model_dump()})
            return
        self._submit(_Running(job, message, folder, held))

    def _submit(self, running: _Running) -> None:
        fingerprint = self._fingerprints.get(_data(running.message))
        message = {**running.message, "fingerprint": fingerprint}
        files = files_to_go_on_from(running.folder)
        self._running[self._trial.remote(message, files, self._orders)] = running
        running.place = ""
        self._waiting_long.begin(running.name)

    def _take(self, generator: Any) -> Iterator[Event]:
        """What a task has told next."""
        running = self._running[generator]
        try:
            told: Told = ray.get(next(generator))
        except RayTaskError as error:  # the code of the node, not of the trial
            values = {"message": f"the node failed it: {error_text(error.cause)}", "exit_code": 1}
            yield from self._end(generator, "error", values)
            return
        except (RayError, StopIteration) as error:
            yield from self._lost(generator, error)
            return
        if told.kind == "began":
            running.place = told.values["place"]
            self._waiting_long.end(running.name)
            return
        try:
            _add_to_log(running.folder, told.log)
            write_files(running.folder, told.files)
        except OSError as error:
            _cancel(generator)
            values = {"message": f"what it left cannot be kept: {error}", "exit_code": 1}
            yield from self._end(generator, "error", values)
            return
        if told.files:
            running.losses = 0
        if told.kind in ("progress", "still"):
            yield running.event(told.kind, told.values)
        else:
            yield from self._end(generator, told.kind, told.values)

    def _end(self, generator: Any, kind: str, values: Mapping[str, Any]) -> Iterator[Event]:
        running = self._running.pop(generator)
        self._waiting_long.end(running.name)
        with running.held:
            if kind == "done":
                try:
                    write_result(running.folder, running.message["kind"], values["result"])
                except (OSError, DmlbenchError) as error:
                    kind, values = "error", {"message": str(error), "exit_code": 1}
        yield running.event(kind, values)

    def _lost(self, generator: Any, error: BaseException) -> Iterator[Event]:
        """The worker or the node of a task has gone: hand its trial out again."""
        running = self._running[generator]
        running.losses += 1
        reason = type(error).__name__ if str(error) == "" else first_line(error)
        if running.losses > MOST_LOSSES:
            message = f"its worker was lost {running.losses} times, at last: {reason}"
            yield from self._end(generator, "died", {"message": message})
            return
        _log.warning(
            "The worker of a trial on %s was lost (%s). It resumes elsewhere from its "
            "last checkpoint.",
            running.place or "a node",
            reason,
        )
        del self._running[generator]
        self._submit(running)

    def _prepare(self, job: Any, message: Mapping[str, Any]) -> Event:
        """Have every node check its packages and make data and components ready."""
        nodes = nodes_with_room(self._share)
        if not nodes:
            raise UsageError(
                f"No node of the cluster has room for a trial, which takes {self._share.text()}."
            )
        message = {**message, "device": "cpu"}  # where they are built
        try:
            results = readied_nodes(nodes, message, self._orders)
        except NotReady as failure:
            return Event(job, failure.kind, failure.values)
        for result in results:
            if result["confinement"] is not None:
                self._confinements[result["confinement"].sentence] = result["confinement"]
        self._fingerprints[_data(message)] = results[0]["fingerprint"]
        report = dict.fromkeys(line for result in results for line in result["report"])
        ready = {"report": list(report), "devices": [self._share.device]}
        return Event(job, "done", {"result": ready})

    def _time_is_up(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    def _stop_all(self, waiting: Iterator[Any]) -> Iterator[Event]:
        """End the jobs that run, and those that were to follow, because the time is up."""
        ended = {"message": "ended because the time limit had passed"}
        for generator in list(self._running):
            _cancel(generator)
            yield from self._end(generator, "died", ended)
        for job, _ in [*self._elsewhere, *waiting]:
            yield Event(job, "died", ended)
        self._elsewhere.clear()


def _cancel(generator: Any) -> None:
    """End a task with the processes that it has started."""
    with contextlib.suppress(RayError, ValueError, TypeError):
        ray.cancel(generator, force=True)


def _data(message: Mapping[str, Any]) -> str:
    """What tells the data of a job from others."""
    configuration = message["configuration"]
    return repr((configuration["dataset"], configuration["recipe"].get("input"), message["split"]))


def _add_to_log(folder: TrialFolder, text: bytes) -> None:
    if text:
        with open(folder.log_file, "ab") as file:
            file.write(text)
