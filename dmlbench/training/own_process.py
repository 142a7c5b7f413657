"""Work in a process of its own, forked before anything of a plugin is imported.

What code of plugins leaves in one such process, in its modules or in this package, no other one
has: they share files alone. The result comes back as tensors, which are read and never executed.
Elsewhere than on Linux, where processes cannot be forked safely, the work is done in this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import safetensors.torch
from torch import Tensor

from dmlbench.errors import DmlbenchError, PluginError, TrialFailure, UsageError
from dmlbench.training import heartbeat
from dmlbench.training.failures import (
    MachineTrouble,
    described,
    log_traceback,
    what_the_machine_lacked,
)

Tensors = Mapping[str, Tensor]
Emit = Callable[[str, Mapping[str, Any]], None]
Work = Callable[[Tensors, Emit], Tensors]

_FORKS = sys.platform == "linux"
_SIGN_SECONDS = 0.5
_HEADER = 9  # a letter, and the length of what follows in 8 bytes
_LONGEST = 1 << 40
_REQUEST, _RESULT, _FAILURE, _SIGN, _EVENT = b"q", b"r", b"f", b"s", b"e"
_ERRORS: dict[str, Callable[[str], DmlbenchError]] = {
    kind.__name__: kind
    for kind in (MachineTrouble, TrialFailure, UsageError, PluginError, DmlbenchError)
}
#: This process's ends of all pipes, which no other child may hold.
_ends: set[int] = set()


class OwnProcess:
    """A process that waits, as this one is now, to be asked once. Use as a context manager.

    work: what it is to do with the tensors of a request; told to `emit` events.
    name: what the process is for, in messages: "the process that ...".
    """

    def __init__(self, work: Work, name: str) -> None:
        self._work, self._name = work, name
        self._pid = 0
        if not _FORKS:
            return
        there, self._to = os.pipe()
        self._from, back = os.pipe()
        _ends.update((self._to, self._from))
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # or both processes would print it
        self._pid = os.fork()
        if self._pid == 0:
            _serve(work, there, back)
        os.close(there)
        os.close(back)

    def __enter__(self) -> OwnProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._pid:
            return
        for end in (self._to, self._from):
            _ends.discard(end)
            os.close(end)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._pid = 0

    def ask(self, request: Tensors, emit: Emit) -> Tensors:
        """Have the work done, and give its result, on the CPU.

        Raises what the work raised, `TrialFailure` among it; `DmlbenchError` where the process
        ended without a result.
        """
        if not _FORKS:
            return self._work(request, emit)
        with contextlib.suppress(BrokenPipeError):
            _send(self._to, _REQUEST, safetensors.torch.save(dict(request)))
        for kind, content in _messages(self._from):
            if kind == _RESULT:
                return _tensors(content, self._name)
            values = json.loads(content)
            if kind == _FAILURE:
                raise _ERRORS.get(values["kind"], DmlbenchError)(values["message"])
            if kind == _SIGN:
                heartbeat.moved() if values[0] is None else heartbeat.enter(*values)
            else:
                emit(*values)
        _, status = os.waitpid(self._pid, 0)
        code = os.waitstatus_to_exitcode(status)
        how = f"ended with exit code {code}" if code >= 0 else f"was ended by signal {-code}"
        raise DmlbenchError(f"the process that {self._name} {how}")


def _serve(work: Work, requests: int, replies: int) -> NoReturn:
    """In the child: wait for the request, do the work, answer, and end."""
    try:
        for end in _ends:
            os.close(end)
        _ends.clear()
        heartbeat.listen_alone(_Signs(replies))
        for _, content in _messages(requests):
            _answer(work, safetensors.torch.load(content), replies)
            break
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    finally:
        os._exit(0)


def _answer(work: Work, request: Tensors, replies: int) -> None:
    try:
        result = work(request, lambda kind, values: _send_json(replies, _EVENT, [kind, values]))
        content = safetensors.torch.save({n: t.contiguous().cpu() for n, t in result.items()})
    except BaseException as error:  # SystemExit too
        kind, message = _told(error)
        _send_json(replies, _FAILURE, {"kind": kind, "message": message})
    else:
        _send(replies, _RESULT, content)


def _told(error: BaseException) -> tuple[str, str]:
    """An error as `OwnProcess.ask` raises it again."""
    if isinstance(error, MachineTrouble):
        return MachineTrouble.__name__, error.lacked
    if isinstance(error, DmlbenchError):
        return next(n for n, kind in _ERRORS.items() if isinstance(error, kind)), str(error)
    log_traceback()
    lacked = what_the_machine_lacked(error)
    return ("DmlbenchError", described(error)) if lacked is None else ("MachineTrouble", lacked)


class _Signs:
    """Passes signs of progress on, not more often than anybody needs them."""

    def __init__(self, replies: int) -> None:
        self._replies, self._told = replies, 0.0

    def __call__(self, stage: str | None, patient: bool | None) -> None:
        now = time.monotonic()
        if stage is None and now - self._told < _SIGN_SECONDS:
            return
        self._told = now
        _send_json(self._replies, _SIGN, [stage, bool(patient)])


def _send_json(end: int, kind: bytes, values: Any) -> None:
    _send(end, kind, json.dumps(values).encode())


def _send(end: int, kind: bytes, content: bytes) -> None:
    left = memoryview(kind + len(content).to_bytes(_HEADER - 1, "little") + content)
    while left:
        left = left[os.write(end, left) :]


def _messages(end: int) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of what comes, until nothing can come any more."""
    while len(header := _read(end, _HEADER)) == _HEADER:
        length = int.from_bytes(header[1:], "little")
        if length > _LONGEST or len(content := _read(end, length)) < length:
            return
        yield header[:1], content


def _read(end: int, length: int) -> bytes:
    pieces = []
    while length and (piece := os.read(end, min(length, 1 << 20))):
        pieces.append(piece)
        length -= len(piece)
    return b"".join(pieces)


def _tensors(content: bytes, name: str) -> Tensors:
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise TrialFailure(f"the process that {name} gave no tensors: {error}") from error
