"""Progress of a run in a notebook: one output, updated in place, without widgets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from typing import Any

from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import trial_title
from dmlbench.running.run_view import RunView, place, stage

#: Seconds between two updates of the output; a trial that ends is always shown.
PAUSE = 0.5

#: A representation per MIME type, as IPython displays it.
Bundle = dict[str, str]


def in_notebook() -> bool:
    """Whether this is a kernel, whose output a browser shows; false in IPython's terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """A bar, the trials at work and what is left, as HTML; as text where HTML is not shown.

    display: shows a first bundle and gives what replaces it; by default IPython's.
    """

    def __init__(
        self, view: RunView, display: Callable[[Bundle], Callable[[Bundle], None]] | None = None
    ) -> None:
        self.view, self.display = view, display or _display
        self.update: Callable[[Bundle], None] | None = None
        self.last = 0.0

    def take(self, event: TrialEvent) -> None:
        """Note an event, and show it if the last update is long enough ago."""
        self.view.take(event)
        ended = event.kind in ("trial_finished", "trial_failed")
        if self.update is None:
            self.update = self.display(self.bundle())
        elif ended or self.view.clock() - self.last >= PAUSE:
            self.update(self.bundle())
        else:
            return
        self.last = self.view.clock()

    def bundle(self) -> Bundle:
        """What is shown now."""
        lines = [self._line(key, trial) for key, trial in self.view.running.items()]
        text = [self.view.summary(), *lines]
        done = self.view.fraction_done()
        return {
            "text/plain": "\n".join(text),
            "text/html": (
                f'<progress max="1" value="{done:.4f}" style="width: 24em"></progress> '
                + "<br>".join(escape(line) for line in text)
            ),
        }

    def _line(self, key: tuple[str, int, int], trial: dict[str, Any]) -> str:
        _, split, seed = key
        text = stage(trial, self.view.epochs)
        parts = [text if text.startswith("features") else f"epoch {text}"]
        if trial.get("objective") is not None:
            parts.append(f"loss {trial['objective']:.4f}")
        if trial.get("validation_map_at_r") is not None:
            parts.append(f"validation MAP@R {100 * trial['validation_map_at_r']:.1f} %")
        parts += [place(trial)] * bool(place(trial))
        return f"{plain(trial['label'])}, {trial_title(split, seed)}: {', '.join(parts)}"


def _display(bundle: Bundle) -> Callable[[Bundle], None]:
    from IPython.display import display

    handle = display(bundle, raw=True, display_id=True)
    return lambda later: handle.update(later, raw=True)
