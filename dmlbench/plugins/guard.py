"""Hold a plugin's code to ordinary exceptions and to a time limit while it is loaded."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn

#: Heavy libraries take tens of seconds from a cold network drive; nothing honest takes longer.
LIMIT_SECONDS = 120.0


class PluginMisbehaved(Exception):
    """A plugin's code raised what ends a program, or took too long."""


class _Ended(BaseException):
    """Not an `Exception`, as `_Overdue`."""


class _Overdue(BaseException):
    """Not an `Exception`, so a plugin that catches those cannot swallow it."""


@contextlib.contextmanager
def own_faults(seconds: float = LIMIT_SECONDS) -> Iterator[None]:
    """Turn whatever a plugin's code raises, a hang and `os._exit` into `PluginMisbehaved`.

    The user's Ctrl-C stays what it is. Outside the main thread, where no alarm can be set, and
    where somebody else has set one, there is no time limit.
    """
    pressed: list[int] = []
    with _interrupts_noted(pressed), _alarm(seconds), _no_exit():
        try:
            yield
        except _Ended as error:
            raise PluginMisbehaved(f"it called os._exit({error})") from None
        except _Overdue:
            raise PluginMisbehaved(f"it took longer than {seconds:.0f} s") from None
        except KeyboardInterrupt as error:
            if pressed:
                raise
            raise PluginMisbehaved("it raised KeyboardInterrupt") from error
        except (Exception, SystemExit):
            raise
        except BaseException as error:
            raise PluginMisbehaved(f"it raised {type(error).__name__}: {error}") from error


@contextlib.contextmanager
def _no_exit() -> Iterator[None]:
    """Let `os._exit` raise `_Ended` in this process: the command would end without a word.

    A child that the plugin's code forks still ends by it.
    """
    end, here = os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:
            end(status)
        raise _Ended(status)

    os._exit = refuse
    try:
        yield
    finally:
        os._exit = end


@contextlib.contextmanager
def _interrupts_noted(pressed: list[int]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: FrameType | None) -> Any:
        pressed.append(number)
        return before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        # Unless the plugin's code has put a handler of its own there.
        if signal.getsignal(signal.SIGINT) is note:
            signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if (
        threading.current_thread() is not threading.main_thread()
        or not hasattr(signal, "setitimer")
        or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL
    ):
        yield
        return

    def overdue(number: int, frame: FrameType | None) -> None:
        raise _Overdue

    signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
