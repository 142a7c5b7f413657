"""Whose failure an error is: the trial's own, which its entry records, or the machine's.

A trial's own failure is what its losses, combiner or backbone computed or raised; it would come
again. What the machine lacked (memory, room on a disk, descriptors, a GPU that answers) says
nothing of the configuration: it leaves no record, and the next run tries again.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from dmlbench.data.cache import cache_dir
from dmlbench.errors import DmlbenchError, TrialFailure
from dmlbench.files import MACHINE_ERRNOS

#: How libraries that keep no error number put it, in lower case.
_MESSAGES = (
    "no space left on device",
    "disk quota exceeded",
    "input/output error",
    "file too large",
    "read-only file system",
    "database or disk is full",
    "too many open files",
    "cannot allocate memory",
    "can't allocate memory",
    "can't start new thread",
    "resource temporarily unavailable",
    "out of memory",
    "not enough memory",
    "unable to mmap",
    "bad_alloc",
    "pytorchstreamwriter failed",
    "inline_container",
    "file write failed",
    "unable to write to file",
    "no cuda gpus are available",
    "cuda driver",
    "cuda-capable device(s) is/are busy",
    "uncorrectable ecc error",
    "gpu is lost",
    "unspecified launch failure",
    "alloc_failed",
    "cublas_status_not_initialized",
    "cudnn_status_not_initialized",
)

#: With less than this an error is taken for one of want, whatever it says.
_LEAST_DISK_BYTES = 1 << 20
_LEAST_MEMORY_BYTES = 32 << 20


class MachineTrouble(DmlbenchError):
    """The machine lacked something that a trial needs. It leaves no record."""

    def __init__(self, lacked: str) -> None:
        super().__init__(f"the machine failed it, not the configuration: {lacked}")
        self.lacked = lacked


def what_the_machine_lacked(error: BaseException) -> str | None:
    """The error, in words, if it or one that it came from tells of the machine; otherwise None."""
    import torch

    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        lacking = isinstance(one, MemoryError | torch.OutOfMemoryError) or (
            one.errno in MACHINE_ERRNOS
            if isinstance(one, OSError) and one.errno is not None
            else any(message in str(one).lower() for message in _MESSAGES)
        )
        if lacking:
            return described(one)
        waiting += [one.__cause__, None if one.__suppress_context__ else one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions
    return None


def what_is_short(*folders: Path) -> str | None:
    """What this machine has almost nothing left of, memory or room in one of the folders."""
    for folder in folders:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free < _LEAST_DISK_BYTES:
                return f"{free / 2**20:.1f} MiB are free in {folder}"
    free = _available_memory_bytes()
    if free is not None and free < _LEAST_MEMORY_BYTES:
        return f"{free / 2**20:.0f} MiB of memory are free"
    return None


def described(error: BaseException) -> str:
    """An error on one line, with the kind that it is of."""
    if isinstance(error, DmlbenchError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(": ")


def log_traceback() -> None:
    """Print the error that is being handled to the trial's log, unless the disk refuses."""
    with contextlib.suppress(OSError, ValueError):
        traceback.print_exc()


@contextlib.contextmanager
def own_work(what: str = "") -> Iterator[None]:
    """Around what losses, combiner or backbone compute: what they raise fails their trial.

    what: whose work it is, to name before the error.
    Raises `TrialFailure`, or `MachineTrouble` where the machine is at fault.
    """
    try:
        yield
    except (TrialFailure, MachineTrouble):
        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit too
        log_traceback()
        lacked = what_the_machine_lacked(error)
        if lacked is None and (short := what_is_short(*_written_to())):
            lacked = f"{short}, and then {described(error)}"
        if lacked is not None:
            raise MachineTrouble(lacked) from error
        raise TrialFailure(f"{what}{described(error)}") from error


def _written_to() -> tuple[Path, ...]:
    return cache_dir(), Path(tempfile.gettempdir())


def _available_memory_bytes() -> int | None:
    """What can still be had, the limit of a container included; None where nothing says so."""
    amounts = []
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                amounts.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        most = int((group / "memory.max").read_text())  # ValueError: "max", no limit
        used = int((group / "memory.current").read_text())
        reclaimable = 0
        for line in (group / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                reclaimable = int(line.split()[1])
        amounts.append(most - used + reclaimable)
    return min(amounts, default=None)
