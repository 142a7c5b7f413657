"""Trials in processes of this machine: a crash ends one trial, never the run.

Workers are plain subprocesses that talk JSON lines, so that a program may call `dmlbench.run`
from anywhere, without a guarded main module.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """What happened to a job.

    kind: "progress", "done", "error" or "died"; the last three end the job.
    """

    job: Any
    kind: str
    values: Mapping[str, Any]


class LocalExecutor:
    """Runs jobs in up to `processes` worker processes with `threads` threads each.

    Use as a context manager: leaving it ends the workers at once.
    """

    def __init__(self, processes: int, threads: int) -> None:
        self.processes = processes
        self.threads = threads
        self._workers: list[_Worker] = []

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *exception: Any) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(self, jobs: Iterable[tuple[Any, Mapping[str, Any]]]) -> Iterator[Event]:
        """Carry out ``(job, message)`` pairs in order, yielding events as they come.

        `jobs` may run empty and go on later: it is asked again after every job that ends.
        """
        waiting = iter(jobs)
        with selectors.DefaultSelector() as selector:
            self._hand_out(waiting, selector)
            while selector.get_map():
                for key, _ in selector.select():
                    worker = key.data
                    for event in worker.read():
                        yield event
                        if event.kind == "progress":
                            continue
                        selector.unregister(worker.events)
                        worker.idle = True
                        if event.kind == "died":
                            worker.end()
                            self._workers.remove(worker)
                        self._hand_out(waiting, selector)

    def _hand_out(self, waiting: Iterator[Any], selector: selectors.BaseSelector) -> None:
        """Give every idle worker a job, and start workers while there is work for them."""
        idle = [worker for worker in self._workers if worker.idle]
        while idle or len(self._workers) < self.processes:
            job = next(waiting, None)
            if job is None:
                return
            if idle:
                worker = idle.pop(0)
            else:
                worker = _Worker(self.threads)
                self._workers.append(worker)
            worker.start(*job)
            selector.register(worker.events, selectors.EVENT_READ, worker)


def start_process(environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a worker that reads jobs on its stdin and writes events on its stdout."""
    return subprocess.Popen(
        [sys.executable, "-m", "dmlbench.running.executors.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        # Ctrl-C reaches the parent alone, which then ends the workers.
        start_new_session=True,
    )


class _Worker:
    """One worker process and the job that it has."""

    def __init__(self, threads: int) -> None:
        count = str(threads)
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": count,
            "MKL_NUM_THREADS": count,
            "OPENBLAS_NUM_THREADS": count,
            # Spinning threads cost a busy machine most of its time.
            "OMP_WAIT_POLICY": "passive",
            "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        }
        self.process = start_process(environment)
        self.events = self.process.stdout
        self.job: Any = None
        self.idle = True
        self._rest = b""

    def start(self, job: Any, message: Mapping[str, Any]) -> None:
        self.job, self.idle = job, False
        try:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it died; reading its end says so

    def read(self) -> Iterator[Event]:
        """The events that have come, at most up to the end of the job."""
        data = os.read(self.events.fileno(), 1 << 16)
        if not data:
            yield Event(self.job, "died", {"message": self._epitaph()})
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            values = json.loads(line)
            yield Event(self.job, values.pop("event"), values)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.events.close()

    def _epitaph(self) -> str:
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"the process that trained it was ended by {name}{hint}"
        return f"the process that trained it ended with exit code {code}"
