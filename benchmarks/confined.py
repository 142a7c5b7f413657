"""A function run in a process of its own, within bounds on time and memory; and its peak memory.

Processes are forked, so that imports are paid once: import what is measured, but compute nothing,
before the first `confined` call. Linux only.
"""

from __future__ import annotations

import faulthandler
import multiprocessing
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


class OutOfReach(Exception):
    """The bounds were hit; the message says which, to follow a subject: "needs more than 4 GB"."""


def confined(function: Callable[[], Any], *, seconds: float, memory_bytes: float) -> Any:
    """What `function` returns (anything that pickles), from a child process that ends with it.

    seconds: how long the child may take.
    memory_bytes: by how much the child's address space may grow.
    Raises `OutOfReach` where either does not suffice, `RuntimeError` where the function fails.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, function, memory_bytes), daemon=True)
    child.start()
    theirs.close()
    gigabytes = f"{memory_bytes / 1e9:g} GB"
    try:
        if not ours.poll(seconds):
            raise OutOfReach(f"takes more than {seconds:g} s")
        outcome, value = ours.recv()
    except EOFError:
        child.join()
        # What is written without regard for exhausted memory aborts or crashes when it is.
        if child.exitcode in (-signal.SIGABRT, -signal.SIGSEGV, -signal.SIGKILL):
            raise OutOfReach(f"ended by a signal within {gigabytes}") from None
        raise RuntimeError(f"a measuring process ended with code {child.exitcode}") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if outcome == "memory":
        raise OutOfReach(f"needs more than {gigabytes}")
    if outcome == "failed":
        raise RuntimeError(value)
    return value


def peak_bytes(action: Callable[[], None]) -> int:
    """By how much the process's resident memory grows at most while `action` runs.

    What an earlier action has freed may be used again unseen: measure in a fresh process. Right to
    within a megabyte: the kernel counts resident pages in batches.
    """
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = _status_bytes("VmRSS")
    action()
    return max(_status_bytes("VmHWM") - before, 0)


def _child(pipe: Any, function: Callable[[], Any], memory_bytes: float) -> None:
    faulthandler.disable()  # a crash is a result, and told by the exit code
    limit = _status_bytes("VmSize") + int(memory_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pipe.send(("done", function()))
    except Exception as error:
        exhausted = isinstance(error, MemoryError) or "allocate memory" in str(error)
        pipe.send(("memory", "") if exhausted else ("failed", traceback.format_exc()))


def _status_bytes(key: str) -> int:
    """A line of the process's status, such as ``VmRSS:  123 kB``, in bytes."""
    line = next(x for x in _STATUS.read_text().splitlines() if x.startswith(key + ":"))
    return int(line.split()[1]) * 1024
