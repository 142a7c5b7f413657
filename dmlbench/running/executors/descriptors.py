"""The three standard streams of a process, which others are free to have closed."""

from __future__ import annotations

import os
import sys


def open_standard_streams() -> None:
    """Open on nothing whichever of the descriptors 0, 1 and 2 is closed.

    Otherwise the next file or socket would get that number, and whatever is printed.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(descriptor, True)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 (for as long as it runs)


def redirect(path: str | os.PathLike[str]) -> None:
    """Append what this process prints from now on, C code included, to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.close(log)
