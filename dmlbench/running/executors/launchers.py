"""Ways to start the process of a job: forked from a clean one, or started from nothing.

Every job has a process of its own, so nothing that one job's code sets reaches another's. A fork of
a process that has imported torch and timm costs milliseconds where importing them takes seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from dmlbench.errors import DmlbenchError


class Launcher(Protocol):
    """Starts processes and tells of their ends; ready to be read where there is one to tell of."""

    def fileno(self) -> int: ...

    def start(self, name: str, channel: socket.socket) -> None:
        """Start a process with this end of a channel, which is closed here."""

    def kill(self, name: str) -> None:
        """End a process with all that it started; its end is told as any other."""

    def ends(self) -> list[tuple[str, int]]:
        """The processes that have ended since, with exit codes; minus the signal for killed ones.

        Raises `LauncherGone` where no process can be started any more.
        """

    def close(self) -> None:
        """End every process that is left."""


class LauncherGone(DmlbenchError):
    """The process that starts others has ended."""


def launcher(environment: Mapping[str, str], prefix: Sequence[str] = ()) -> Launcher:
    """The launcher for this system.

    environment: of the processes. prefix: arguments before the command of the process that forks
    the others, which confine it and them (`dmlbench.running.executors.confinement`); Linux.
    """
    # Elsewhere system libraries do not survive a fork, or the kernel cannot end a child in time.
    return ForkServer(environment, prefix) if sys.platform == "linux" else Spawner(environment)


def start_server(
    end: socket.socket, environment: Mapping[str, str], prefix: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """Start a fork server on one end of a pair of sockets."""
    return subprocess.Popen(
        [
            *prefix,
            sys.executable,
            *("-m", "dmlbench.running.executors.fork_server", str(end.fileno())),
        ],
        stdin=subprocess.DEVNULL,
        stdout=2,
        env=environment,
        pass_fds=[end.fileno()],
        # Ctrl-C reaches the run alone, which then ends the others.
        start_new_session=True,
    )


class ForkServer:
    """Asks `dmlbench.running.executors.fork_server` for processes. Linux."""

    def __init__(self, environment: Mapping[str, str], prefix: Sequence[str] = ()) -> None:
        self._socket, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with end:
            self._process = start_server(end, environment, prefix)

    def fileno(self) -> int:
        return self._socket.fileno()

    def start(self, name: str, channel: socket.socket) -> None:
        with channel, contextlib.suppress(BrokenPipeError, ConnectionResetError):
            request = json.dumps({"start": name}).encode()
            socket.send_fds(self._socket, [request], [channel.fileno()])

    def kill(self, name: str) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.send(json.dumps({"kill": name}).encode())

    def ends(self) -> list[tuple[str, int]]:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            code = self._process.wait()
            raise LauncherGone(
                f"the process that trials are forked from {exit_message(code)}; they ended with it"
            )
        message = json.loads(data)
        return [(message["ended"], message["code"])]

    def close(self) -> None:
        self._socket.close()  # at which it ends its children and itself
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Spawner:
    """Starts a fresh interpreter for every process, which takes seconds each."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._reading, self._writing = os.pipe()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def fileno(self) -> int:
        return self._reading

    def start(self, name: str, channel: socket.socket) -> None:
        with channel:
            process = subprocess.Popen(
                [sys.executable, "-m", "dmlbench.running.executors.job", str(channel.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=self._environment,
                pass_fds=[channel.fileno()],
                start_new_session=True,
            )
        self._processes[name] = process
        threading.Thread(target=self._tell_end, args=(name, process), daemon=True).start()

    def kill(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def ends(self) -> list[tuple[str, int]]:
        names = os.read(self._reading, 1 << 12).decode().split()
        return [(name, self._processes.pop(name).returncode) for name in names]

    def close(self) -> None:
        for name, process in list(self._processes.items()):
            self.kill(name)
            process.wait()
        os.close(self._reading)

    def _tell_end(self, name: str, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        with contextlib.suppress(OSError):  # nobody listens any more
            os.write(self._writing, f"{name}\n".encode())


def exit_message(code: int) -> str:
    """How a process ended, in words that follow its name. `code`: minus the signal, if killed."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (" (out of memory?)" if code == -signal.SIGKILL else "")


def worker_environment(threads: int) -> dict[str, str]:
    """The environment of this process, with `threads` threads for whatever computes."""
    count = str(threads)
    settings: dict[str, Any] = {
        "OMP_NUM_THREADS": count,
        "MKL_NUM_THREADS": count,
        "OPENBLAS_NUM_THREADS": count,
        # Spinning threads cost a busy machine most of its time.
        "OMP_WAIT_POLICY": "passive",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        # pandas imports pyarrow where it is installed, whose allocator starts a thread: the fork
        # server must have none.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    return {**os.environ, **settings}
