"""The version of dmlbench, and the commit where it runs from a checkout."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import version
from pathlib import Path

__version__ = version("dmlbench")

#: Raised on purpose when a number that dmlbench itself computes changes (docs/maintaining.md).
#: Trials of different results versions are never mixed.
RESULTS_VERSION = 1


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that dmlbench runs from, with "+" if changed; None elsewhere."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "-uno") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
