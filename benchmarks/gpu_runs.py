"""The parts of `gpu.py` that use the command line: a trial that is killed, and several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gpu import Bench


def command(bench: Bench, out: Path, *more: str) -> list[str]:
    """A run of the command line."""
    device = "cuda" if bench.device.type == "cuda" else str(bench.device)
    more = (*more, "--set", "recipe.epochs=2") if bench.tiny else more
    arguments = [*more, "--dataset", bench.dataset, "--device", device, "--no-clustering", "-q"]
    return [sys.executable, "-m", "dmlbench", "run", *arguments, "--leaderboards", str(out)]


def metrics(out: Path) -> list[Any]:
    """Of every trial below a folder, in a fixed order."""
    from dmlbench.leaderboard.entries.store import read_leaderboards

    found = sorted(read_leaderboards(out)[0], key=lambda entry: entry.entry_id)
    return [trial.metrics.model_dump() for entry in found for trial in entry.trials]


def measure_resume(bench: Bench) -> None:
    """Whether a trial that is killed in its second epoch ends as one that is not."""
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder, "whole"), Path(folder, "parts")
        one = ("--losses", "triplet", "--seeds", "1")
        subprocess.run(command(bench, whole, *one), check=True)
        killed = subprocess.Popen(command(bench, parts, *one), start_new_session=True)
        while killed.poll() is None and not list(parts.rglob("checkpoint*")):
            time.sleep(0.05)
        if killed.poll() is None:
            os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        subprocess.run(command(bench, parts, *one), check=True)
        equal = float(metrics(whole) == metrics(parts))
    bench.row("resume", "after kill -9, equal metrics (1: yes)", equal, "at least 1")


def measure_several(bench: Bench) -> None:
    """The default run, one trial at a time and as many as a run without --jobs takes."""
    few = ("--losses", "triplet,contrastive", "--seeds", "1") if bench.tiny else ()
    with tempfile.TemporaryDirectory() as folder:
        for name, jobs in (("one at a time", ("--jobs", "1")), ("by default", ())):
            out = Path(folder, name)
            started = time.perf_counter()
            subprocess.run(command(bench, out, *few, *jobs), check=True)
            took = time.perf_counter() - started
            trials = len(metrics(out))
            held_to = "" if jobs else "at most 60"
            bench.row("several", f"{trials} trials {name}, seconds", took, held_to)
