"""Jobs in processes of this machine, one each: a crash ends one job, never the run.

A process is forked from a clean one (`fork_server`), so a program may call `dmlbench.run`
from anywhere, without a guarded main module.
"""

from __future__ import annotations

import selectors
import socket
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmlbench.running.executors.channel import RunEnd
from dmlbench.running.executors.confinement import Confinement
from dmlbench.running.executors.descriptors import open_standard_streams
from dmlbench.running.executors.events import Event
from dmlbench.running.executors.launchers import (
    Launcher,
    LauncherGone,
    exit_message,
    launcher,
    worker_environment,
)
from dmlbench.running.executors.sharing import Sharing, gpu_memory
from dmlbench.running.executors.watchdog import WARN_SECONDS, Watchdog
from dmlbench.training.environment import available_cores

#: How long a process may take to end once its job has, or once it has closed its channel.
_GRACE_SECONDS = 10.0
#: Pieces of up to 64 KiB: of a job at its turn, and of one whose process has ended.
_READS, _LAST_READS = 16, 1024

#: What a trial tells when an epoch is done.
_EPOCHS = ("epoch_finished", "refit_epoch_finished")


@dataclass
class _Running:
    """A job that has a process."""

    job: Any
    channel: RunEnd
    place: str = ""
    ended: bool = False

    def event(self, kind: str, values: Mapping[str, Any]) -> Event:
        """An event of this job."""
        return Event(self.job, kind, values, self.place)


class LocalExecutor:
    """Runs jobs in up to `processes` processes at once with `threads` threads each.

    A job's message names its device, unless `make_room` has said which devices there are.
    time_limit: seconds without a sign after which a job is ended; None for never.
    confined: how the processes are confined; None for not at all.
    until: the time (`time.monotonic`) from which on no job starts and those that run are ended;
        None for never.
    Use as a context manager: leaving it ends the processes at once.
    """

    def __init__(
        self,
        processes: int,
        threads: int,
        time_limit: float | None = None,
        confined: Confinement | None = None,
        until: float | None = None,
    ) -> None:
        open_standard_streams()
        self.threads = threads
        self.stray_messages = 0
        self._until = until
        self._confined = confined or Confinement((), {}, "")
        self._watchdog = Watchdog(time_limit, WARN_SECONDS, time.monotonic)
        self._launcher: Launcher | None = None
        # A place takes one job at a time, on its device; "" takes the one that the message names.
        self._places = [""] * processes
        # Of GPUs that may take more than one trial.
        self._sharing: dict[str, Sharing] = {}
        self._running: dict[str, _Running] = {}
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._launcher is not None:
            self._launcher.close()
        for running in self._running.values():
            running.channel.close()
        self._running.clear()
        self._selector.close()

    def make_room(self, devices: list[str], jobs: int | None, pending: int) -> None:
        """Of `dmlbench.running.executors.events.Executor`: the devices are handed out in turn.

        Without `jobs` a GPU that is named once takes more trials as long as that pays.
        """
        room = len(devices) if devices != ["cpu"] else max(1, available_cores() // self.threads)
        count = min(jobs or room, pending)
        self._places = [devices[index % len(devices)] for index in range(count)]
        if jobs is None and devices != ["cpu"] and len(set(devices)) == len(devices):
            most = max(1, available_cores() // self.threads // len(devices))
            self._sharing = {place: Sharing(most, gpu_memory(place)) for place in self._places}

    def confinements(self) -> list[Confinement]:
        return [self._confined] if self._confined.sentence else []

    def run(self, jobs: Iterable[tuple[Any, Mapping[str, Any]]]) -> Iterator[Event]:
        """Carry out ``(job, message)`` pairs in order, yielding events as they come.

        `jobs` may run empty and go on later: it is asked again after every job that ends.
        """
        waiting = iter(jobs)
        while True:
            if self._time_is_up():
                yield from self._stop_all(waiting)
            else:
                self._hand_out(waiting)
            if not self._running:
                return
            for key, _ in self._selector.select(self._seconds_to_wait()):
                if key.data is None:
                    yield from self._take_ends()
                elif key.data in self._running:
                    yield from self._take_messages(key.data)
            yield from self._look_for_still_jobs()

    def _time_is_up(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    def _seconds_to_wait(self) -> float | None:
        """How long nothing has to be done unless a message comes; None for as long as it takes."""
        seconds = self._watchdog.seconds_to_wait()
        if self._until is None or self._time_is_up():
            return seconds
        left = max(0.0, self._until - time.monotonic())
        return left if seconds is None else min(left, seconds)

    def _stop_all(self, waiting: Iterator[Any]) -> Iterator[Event]:
        """End the jobs that run, and those that were to follow, because the time is up."""
        ended = {"message": "ended because the time limit had passed"}
        for name, running in self._running.items():
            if not running.ended:
                running.ended = True
                self._launcher.kill(name)
                self._watchdog.limit_to(name, _GRACE_SECONDS)
                yield running.event("died", ended)
        for job, _ in waiting:
            yield Event(job, "died", ended)

    def _hand_out(self, waiting: Iterator[Any]) -> None:
        for place in self._free_places():
            job = next(waiting, None)
            if job is None:
                return
            self._start(*job, place)

    def _free_places(self) -> list[str]:
        """Where a job may start now."""
        level = {place: sharing.level for place, sharing in self._sharing.items()}
        turns = range(max(level.values(), default=1))
        free = [place for turn in turns for place in self._places if turn < level.get(place, 1)]
        for running in self._running.values():
            if running.place in free:  # more run than are to, where fewer proved to be faster
                free.remove(running.place)
        return free

    def _start(self, job: Any, message: Mapping[str, Any], place: str) -> None:
        if self._launcher is None:
            environment = {**worker_environment(self.threads), **self._confined.environment}
            self._launcher = launcher(environment, self._confined.prefix)
            self._selector.register(self._launcher, selectors.EVENT_READ, None)
        name = uuid.uuid4().hex
        ours, theirs = socket.socketpair()
        channel = RunEnd(ours, name)
        self._running[name] = _Running(job, channel, place)
        self._watchdog.begin(name)
        self._selector.register(channel, selectors.EVENT_READ, name)
        self._launcher.start(name, theirs)
        channel.send({**message, "device": place} if place else message)

    def _take_messages(self, name: str, most: int = _READS) -> Iterator[Event]:
        """What a job has told so far, of which `most` pieces are read: others have their turn."""
        running = self._running[name]
        for _ in range(most):
            messages = running.channel.receive()
            if messages is None:
                break
            for message in messages:
                yield from self._take(name, running, message)
        if running.channel.ended:
            self._selector.unregister(running.channel)
            # Either it ends at once, or code of the trial has closed what is not its own.
            self._watchdog.limit_to(name, _GRACE_SECONDS)

    def _take(self, name: str, running: _Running, message: dict[str, Any]) -> Iterator[Event]:
        kind = message.pop("event")
        if running.ended:
            return
        self._watchdog.moved(name, message.pop("stage", None), message.pop("patient", None))
        if kind in ("done", "error"):
            running.ended = True
            self._watchdog.limit_to(name, _GRACE_SECONDS)
        if kind == "progress" and message["kind"] in _EPOCHS and running.place in self._sharing:
            self._sharing[running.place].epoch_finished(name)
        if kind in ("done", "error", "progress"):
            yield running.event(kind, message)

    def _take_ends(self) -> Iterator[Event]:
        """Processes that have ended, whatever they had told."""
        try:
            ends = self._launcher.ends() if self._launcher is not None else []
        except LauncherGone as error:
            yield from self._lose_all(str(error))
            return
        for name, code in ends:
            if name in self._running:
                yield from self._finish(name, f"the process that trained it {exit_message(code)}")

    def _finish(self, name: str, reason: str) -> Iterator[Event]:
        """A job's process is gone: take what it still told, and forget it."""
        running = self._running[name]
        if not running.channel.ended:
            yield from self._take_messages(name, _LAST_READS)
        if not running.channel.ended:
            self._selector.unregister(running.channel)
        running.channel.close()
        self._watchdog.end(name)
        del self._running[name]
        self.stray_messages += running.channel.stray
        if not running.ended:
            yield running.event("died", {"message": reason})

    def _lose_all(self, reason: str) -> Iterator[Event]:
        """The process that starts others has gone, and with it all that it had started."""
        self._selector.unregister(self._launcher)
        self._launcher.close()
        self._launcher = None
        for name in list(self._running):
            yield from self._finish(name, reason)

    def _look_for_still_jobs(self) -> Iterator[Event]:
        for name, seconds, stage, overdue in self._watchdog.still():
            running = self._running[name]
            lacks_limit = self._watchdog.lacks_limit(name)
            values = {"seconds": seconds, "stage": stage, "lacks_limit": lacks_limit}
            if overdue:
                self._launcher.kill(name)
                self._watchdog.limit_to(name, _GRACE_SECONDS)
            if running.ended:
                continue  # it has told its end, and only its process was left
            if overdue and running.channel.ended:
                running.ended = True
                reason = "the process that trained it closed its channel to the run"
                yield running.event("died", {"message": reason})
            else:
                running.ended = overdue
                yield running.event("overdue" if overdue else "still", values)
