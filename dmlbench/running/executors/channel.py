"""Messages between a job's process and the run: lines of JSON over a socket of their own.

The socket is none of the standard streams, its number is one that nothing else takes, and it is
closed in whatever the job's process forks: what a trial prints, closes or starts cannot reach it by
accident. Every message names its job, so one that came otherwise is told from the job's own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

#: Above what programs open, close or duplicate by counting upwards.
_OUT_OF_THE_WAY = 200
#: Bytes; a longer line is not a message. The longest ones hold a record per epoch, as entries do.
_LONGEST = 1 << 26
#: The values that the run needs from an event. Those of other events may all be missing.
_NEEDED: Mapping[str, Mapping[str, type]] = {
    "done": {"result": dict},
    "error": {"message": str, "exit_code": int},
    "progress": {"kind": str, "values": dict},
}
_OPTIONAL: Mapping[str, type] = {"stage": str, "patient": bool}


class JobEnd:
    """The end of a channel in the process of a job. Sends under the job's name alone.

    descriptor: of the socket; moved out of the way.
    """

    def __init__(self, descriptor: int) -> None:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY)
        os.close(descriptor)
        self._socket = socket.socket(fileno=moved)
        self._socket.setblocking(True)
        self._owner = os.getpid()
        self._job: Any = None
        os.register_at_fork(after_in_child=self._close_in_child)

    def receive_job(self) -> dict[str, Any]:
        """Wait for the one message that says what to do. Raises `EOFError` if none will come."""
        with self._socket.makefile("rb") as file:
            line = file.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        message = json.loads(line)
        self._job = message["job"]
        return message

    def send(self, event: str, **values: Any) -> None:
        """Send an event. Where the run has gone, this process ends."""
        self.end_if_forked()
        line = json.dumps({"job": self._job, "event": event, **values})
        try:
            self._socket.sendall(line.encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError):
            os._exit(1)

    def end_if_forked(self) -> None:
        """End a process that the job's code forked and that continues as if it were the job."""
        if os.getpid() != self._owner:
            os._exit(1)

    def wait_for_end(self) -> None:
        """Wait until the other end is closed, which it is where the run has gone."""
        with contextlib.suppress(OSError):
            while self._socket.recv(4096):
                pass

    def _close_in_child(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()


class RunEnd:
    """The end of a channel in the process of the run.

    job: the name that messages must have. stray: how many lines lacked it, or were not messages
        as `JobEnd` sends them.
    """

    def __init__(self, end: socket.socket, job: str) -> None:
        self.socket, self.job = end, job
        self.stray = 0
        self.ended = False
        self._started: list[bytes] = []  # pieces of a line whose end has not come yet
        self._size, self._too_long = 0, False

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Say what is to be done."""
        # A process that has died meanwhile is told by its end.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(json.dumps({"job": self.job, **message}).encode() + b"\n")

    def receive(self) -> list[dict[str, Any]] | None:
        """Events that have come, or None where there is nothing to be read. Never waits.

        Sets `ended` where nothing can come any more.
        """
        try:
            data = self.socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            data = b""
        if not data:
            self.ended = True
            self.stray += bool(self._started) or self._too_long
            self._started.clear()
            return None
        return [message for line in self._lines(data) if (message := self._own(line)) is not None]

    def close(self) -> None:
        self.socket.close()

    def _lines(self, data: bytes) -> list[bytes]:
        """The lines that `data` ends, in time linear in their length, whatever the pieces."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            if self._too_long:
                self.stray += 1
            else:
                lines.append(b"".join(self._started))
            self._started.clear()
            self._size, self._too_long = 0, False
        self._add(rest)
        return lines

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > _LONGEST:
            self._started.clear()
            self._too_long = True
        elif piece:
            self._started.append(piece)

    def _own(self, line: bytes) -> dict[str, Any] | None:
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):  # RecursionError: nested too deeply
            message = None
        if not isinstance(message, dict) or message.get("job") != self.job or not _valid(message):
            self.stray += 1
            return None
        return message


def _valid(message: Mapping[str, Any]) -> bool:
    """Whether a message is an event with all that the run reads from it."""
    event = message.get("event")
    return (
        isinstance(event, str)
        and all(isinstance(message.get(k), t) for k, t in _NEEDED.get(event, {}).items())
        and all(message.get(k) is None or isinstance(message[k], t) for k, t in _OPTIONAL.items())
    )
