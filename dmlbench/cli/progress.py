"""Progress on stderr: a live view on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dmlbench.hookspecs import TrialEvent
from dmlbench.running.progress_lines import ProgressLines
from dmlbench.running.run_view import RunView

if TYPE_CHECKING:
    from dmlbench.running.planning import Plan


@contextlib.contextmanager
def watch_run(
    plan: Plan, retry_failed: bool = False, verbosity: int = 0
) -> Iterator[Callable[[TrialEvent], None] | None]:
    """Show a run while it trains. Gives what is to be called with every event, or None.

    verbosity: below 0 for nothing at all, above 0 for a line per epoch, on a terminal as well.
    """
    if verbosity < 0:
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    view = RunView(plan, retry_failed)
    if verbosity > 0 or not console.is_terminal:
        yield ProgressLines(view, every_epoch=verbosity > 0).take
        return
    with Live(view, console=console, refresh_per_second=4, transient=True):
        yield view.take
