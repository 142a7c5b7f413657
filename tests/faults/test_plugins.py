"""Plugins that stopped every command while they were imported, and costs without a bound."""

from __future__ import annotations

import os
import signal
import time

import pytest

from dmlbench.errors import UsageError
from dmlbench.plan.trial_keys import seeds_of
from dmlbench.plugins import guard
from dmlbench.plugins.loading import load_plugins

ALIASES = """
from dmlbench.hookspecs import LossSpec, hookimpl

@hookimpl
def dmlbench_losses():
    return [LossSpec(name="mine", target="mine:Mine", summary="A loss", aliases=5)]
"""


@pytest.mark.parametrize(
    "code, reason",
    [
        (ALIASES, "the aliases must be a tuple of names, not 5"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os\nos._exit(3)", "it called os._exit(3)"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("class Own(BaseException): pass\nraise Own('x')", "it raised Own: x"),
    ],
)
def test_row_19_a_plugin_stops_nobody_else(install, code: str, reason: str) -> None:
    install("third-party", code)
    registry = load_plugins()
    (record,) = [r for r in registry.plugins if r.distribution == "third-party"]
    assert record.status == "broken" and reason in record.reason
    assert registry.find("losses", "triplet")


def test_row_19_a_plugin_that_hangs_is_named() -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    with pytest.raises(guard.PluginMisbehaved, match="longer than 0 s"):
        with guard.own_faults(seconds=0.2):
            while time.monotonic() - began < 20:
                pass
    assert time.monotonic() - began < 10
    assert (signal.getsignal(signal.SIGALRM), signal.getsignal(signal.SIGINT)) == before


def test_row_19_ctrl_c_while_a_plugin_is_imported_stays_the_users() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), guard.own_faults():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("seeds", [999_999_999_999, 10_001, [10**6 + 1], [0, 10**12]])
def test_row_35_seeds_are_bounded_before_they_are_listed(seeds) -> None:
    with pytest.raises(UsageError, match="seeds|Seeds"):
        seeds_of(seeds)
