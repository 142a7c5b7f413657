"""Signs that a trial moves: every training step, and every batch of images that is embedded.

A trial has a process of its own, which listens and tells the run. Elsewhere nobody listens.
"""

from __future__ import annotations

from collections.abc import Callable

#: Called with what is done from now on, None for as before, and whether that may take long.
Listener = Callable[[str | None, bool | None], None]

_listeners: list[Listener] = []


def moved() -> None:
    """Say that a piece of work is done."""
    for listener in _listeners:
        listener(None, None)


def enter(stage: str, patient: bool = False) -> None:
    """Say what is done from now on; `patient`: it may take long without a sign."""
    for listener in _listeners:
        listener(stage, patient)


def listen(listener: Listener) -> None:
    """Call `listener` at every sign in this process, often: it must be quick."""
    _listeners.append(listener)


def listen_alone(listener: Listener) -> None:
    """Call `listener` and nobody else: in a forked process, whose parent's listeners hear it."""
    _listeners[:] = [listener]
