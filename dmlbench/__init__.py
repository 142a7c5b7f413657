"""dmlbench: losses for deep metric learning, and ensembles of them, compared on unseen classes.

What the command line does, a program can do with the names in ``__all__``. Importing this package
imports no torch: each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "Entry": "dmlbench.leaderboard.entries.entry",
    "load_dataset": "dmlbench.api",
    "load_loss": "dmlbench.api",
    "read_leaderboard": "dmlbench.leaderboard.comparison.table",
    "run": "dmlbench.api",
    "__version__": "dmlbench.version",
}

__all__ = ["Entry", "evaluate", "load_dataset", "load_loss", "read_leaderboard", "run"]


def __getattr__(name: str) -> Any:
    if name == "evaluate":
        return importlib.import_module("dmlbench.evaluate")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dmlbench' has no attribute {name!r}")
