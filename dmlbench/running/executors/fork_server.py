"""A clean process that has imported what trials import, and forks one process per job.

It reads requests from its socket, one per packet: ``{"start": name}`` with the job's end of a
channel beside it, or ``{"kill": name}``; it answers ``{"ended": name, "code": code}``. It imports
no plugin, starts no thread and never touches CUDA, so every child starts from the same state
and may use a GPU. With a child ends all that it left running, daemons included: what trained does
not go on beside what tests. Where the server's socket is closed it ends, and all its children with
it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import glob
import importlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any, NoReturn

#: What takes long to import and belongs to dmlbench or its dependencies.
PRELOADED = (
    "dmlbench.backbones.timm_model",
    "dmlbench.backbones.resnet_mini",
    "dmlbench.evaluate.clustering",
    "dmlbench.evaluate.retrieval",
    "dmlbench.plugins.loading",
    "dmlbench.training.readiness",
    "dmlbench.training.trial",
    "faiss",
    "safetensors.torch",
    "sklearn.metrics",
)
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Server:
    """Forks children on request and reports their ends."""

    def __init__(self, requests: socket.socket) -> None:
        self.requests = requests
        self.pid = os.getpid()
        self.children: dict[int, str] = {}
        self.waking, self.woken = os.pipe()
        for descriptor in (self.waking, self.woken):
            os.set_blocking(descriptor, False)

    def serve(self) -> None:
        """Serve until the socket is closed."""
        _set(_PR_SET_CHILD_SUBREAPER, 1)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self.woken, warn_on_full_buffer=False)
        while True:
            ready, _, _ = select.select([self.requests, self.waking], [], [])
            if self.waking in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self.waking, 4096)
            self._report_ends()
            if self.requests in ready and not self._take_request():
                return

    def end_all(self) -> None:
        """End every child with all that it started."""
        for pid in self.children:
            _kill_group(pid)

    def _take_request(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.requests, 1 << 16, 1)
        except ConnectionResetError:
            return False
        if not data:
            return False
        request: dict[str, Any] = json.loads(data)
        if "kill" in request:
            for pid, name in self.children.items():
                if name == request["kill"]:
                    _kill_group(pid)
            return True
        (channel,) = descriptors
        pid = os.fork()
        if pid == 0:
            self._become_job(channel)
        os.close(channel)
        self.children[pid] = request["start"]
        return True

    def _report_ends(self) -> None:
        for pid in list(self.children):
            # Looked at first, reaped then: until that, its number is nobody else's.
            ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                continue
            _kill_group(pid)
            _, status = os.waitpid(pid, 0)
            name = self.children.pop(pid)
            self._end_orphans()
            answer = {"ended": name, "code": os.waitstatus_to_exitcode(status)}
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.requests.send(json.dumps(answer).encode())

    def _end_orphans(self) -> None:
        """End what a child had started in a session of its own: it is this process's child now."""
        while orphans := _children() - set(self.children):
            for pid in orphans:
                _kill_group(pid)
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)

    def _become_job(self, channel: int) -> NoReturn:
        """In the child: leave everything of the server behind, and carry out the job."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _end_with_parent(self.pid)
            self.requests.close()
            os.close(self.waking)
            os.close(self.woken)
            from dmlbench.running.executors import job

            job.serve(channel)
        except BaseException:
            try:
                sys.excepthook(*sys.exc_info())
            finally:  # even where it cannot be printed: this process must not go on as the server
                os._exit(1)
        os._exit(0)


def preload() -> None:
    """Import what trials import, as far as it is installed.

    What fails in another way is named on stderr and stops nothing: a trial that needs it says so.
    """
    for name in PRELOADED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass
        except Exception as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            with contextlib.suppress(OSError, ValueError):
                print(f"{name} cannot be imported: {what}", file=sys.stderr, flush=True)


def main() -> None:
    """Serve on the socket whose descriptor is the argument."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    requests.set_inheritable(False)
    preload()
    gc.collect()
    gc.freeze()  # the children share what is there as long as nobody walks over it
    server = Server(requests)
    try:
        server.serve()
    finally:
        server.end_all()


def _kill_group(pid: int) -> None:
    for end in (os.killpg, os.kill):  # a child that was just forked leads no group yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            end(pid, signal.SIGKILL)


def _end_with_parent(parent: int) -> None:
    """Have the kernel end this process where its parent ends, however that comes."""
    _set(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _set(option: int, value: int) -> None:
    """Set an option of this process, where the system has it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _children() -> set[int]:
    """The processes whose parent this one is; empty where the system does not tell."""
    found = set()
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            # The name in brackets may hold anything; state and parent follow it.
            before, _, after = file.read().rpartition(b")")
            if int(after.split()[1]) == os.getpid():
                found.add(int(before.split()[0]))
    return found


if __name__ == "__main__":
    main()
