"""dmlbench: losses for deep metric learning, and ensembles of them, compared on unseen classes.

What the command line does, a program can do with the names in ``__all__``. Importing this package
imports no torch: each name is loaded when it is first used.

    >>> import dmlbench
    >>> dmlbench.load_loss("triplet(margin=0.1)").margin
    0.1
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if sys.platform == "win32":
    raise ImportError(
        "dmlbench runs on Linux and macOS, not on Windows: it locks files and forks processes as "
        "POSIX does. Install it in WSL 2."
    )

if TYPE_CHECKING:
    from dmlbench import evaluate
    from dmlbench.api import load_dataset, load_loss, load_model, run
    from dmlbench.hookspecs import hookimpl
    from dmlbench.leaderboard.entries.entry import Entry
    from dmlbench.leaderboard.listing.board import read_leaderboard
    from dmlbench.version import __version__

_HOMES = {
    "Entry": "dmlbench.leaderboard.entries.entry",
    "hookimpl": "dmlbench.hookspecs",
    "load_dataset": "dmlbench.api",
    "load_loss": "dmlbench.api",
    "load_model": "dmlbench.api",
    "read_leaderboard": "dmlbench.leaderboard.listing.board",
    "run": "dmlbench.api",
    "__version__": "dmlbench.version",
}

__all__ = [
    "Entry",
    "__version__",
    "evaluate",
    "hookimpl",
    "load_dataset",
    "load_loss",
    "load_model",
    "read_leaderboard",
    "run",
]


if not TYPE_CHECKING:  # so that a type checker refuses a name that is not there

    def __getattr__(name: str) -> Any:
        if name == "evaluate":
            return importlib.import_module("dmlbench.evaluate")
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module 'dmlbench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
