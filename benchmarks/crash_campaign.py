"""Kill every command that writes, at random moments, and see that nothing is lost.

    python benchmarks/crash_campaign.py --kills 200
    python benchmarks/crash_campaign.py --only run,tune --kills 20 --seed 7

In each round a command starts in a new folder and is killed (SIGKILL) a few times: itself, or one
of the processes that it has started. Then it runs to its end. The round fails if it does not, if
what it leaves differs from what an uninterrupted call leaves (times and machines apart), or if a
file is left that belongs to nothing. `small-disk` trains on a file system of 400 KiB, which gets
room at the end of the round; it needs the right to mount one (tmpfs). Prints a line per command.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crash_cases import Case, call, cases, command, served, unmount

#: What differs between two trainings of the same numbers, by key, wherever it is.
TIMES = {"cost", "environment", "finished_at", "made", "train_seconds", "entry_sha256"}
KILLS_PER_ROUND = 5


@dataclass
class Tally:
    """What came of a case."""

    kills: int = 0
    rounds: int = 0
    faults: list[str] = field(default_factory=list)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; gives 1 if any round failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="cases, separated by commas")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="crashes-")))
        os.environ["DMLBENCH_CACHE"] = str(base / "cache")
        os.environ["OMP_NUM_THREADS"] = "1"
        address = stack.enter_context(served(base))
        commands = cases(base, address)
        chosen = options.only.split(",") if options.only else list(commands)
        draw = random.Random(options.seed)
        tallies = {name: Tally() for name in chosen}
        for index, name in enumerate(chosen):
            share = options.kills * (index + 1) // len(chosen) - options.kills * index // len(
                chosen
            )
            _campaign(name, commands[name], share, base, draw, tallies[name])
            tally = tallies[name]
            print(
                f"{name:12} {tally.kills:4} kills in {tally.rounds:3} rounds, "
                f"{len(tally.faults)} faults",
                flush=True,
            )
            for fault in tally.faults:
                print(f"    {fault}", flush=True)
    total = sum(tally.kills for tally in tallies.values())
    faults = sum(len(tally.faults) for tally in tallies.values())
    print(f"{total} kills, {faults} faults")
    return 1 if faults else 0


def _campaign(
    name: str, case: Case, kills: int, base: Path, draw: random.Random, tally: Tally
) -> None:
    """Rounds of one case until it was killed often enough."""
    folder = base / f"{name}-whole"
    seconds, _ = _to_the_end(case, folder)
    expected = _content(folder / "out")
    unmount(folder)
    while tally.kills < kills:
        tally.rounds += 1
        folder = base / f"{name}-{tally.rounds}"
        _make_ready(case, folder)
        for _ in range(min(KILLS_PER_ROUND, kills - tally.kills)):
            tally.kills += _start_and_kill(case.arguments(folder), seconds, draw)
        _, done = _to_the_end(case, folder)
        where = f"round {tally.rounds}"
        if done.returncode:
            tally.faults.append(f"{where}: exit code {done.returncode}: {done.stderr[-500:]}")
        elif (found := _content(folder / "out")) != expected:
            differing = sorted(
                key for key in {*found, *expected} if found.get(key) != expected.get(key)
            )
            tally.faults.append(f"{where}: other content: {', '.join(differing[:5])}")
        if stray := _stray(folder) + _stray(base / "cache"):
            tally.faults.append(f"{where}: left over: {', '.join(stray[:5])}")
        unmount(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _to_the_end(case: Case, folder: Path) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Call a case until it is through; gives the seconds of the last call, and its outcome."""
    if not folder.exists():
        _make_ready(case, folder)
    if os.path.ismount(folder / "out"):
        subprocess.run(
            ["mount", "-o", "remount,size=64m", str(folder / "out")], check=True, timeout=60
        )
    _wait_for_locks(folder)
    started = time.monotonic()
    done = call(case.arguments(folder))
    return time.monotonic() - started, done


def _make_ready(case: Case, folder: Path) -> None:
    folder.mkdir()
    case.prepare(folder)


def _start_and_kill(arguments: Sequence[str], seconds: float, draw: random.Random) -> int:
    """Start a command and kill it, or something that it started, at a random moment.

    seconds: how long it takes. Gives 1 where something was killed before the end.
    """
    process = subprocess.Popen(
        command(arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=draw.uniform(0.05, 1.1) * seconds)
        return 0
    except subprocess.TimeoutExpired:
        pass
    victim = draw.choice([process.pid, *_descendants(process.pid)])
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    process.wait(timeout=900)
    return 1


def _descendants(pid: int) -> list[int]:
    """Processes that this one started, and those that they did."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        children = [child for child, parent in parents.items() if parent == one]
        found += children
        waiting += children
    return found


def _wait_for_locks(folder: Path) -> None:
    """Wait until no process of a killed command holds a trial any more."""
    import fcntl

    deadline = time.monotonic() + 60
    for path in folder.rglob("lock"):
        with open(path) as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.05)


def _content(folder: Path) -> dict[str, Any]:
    """What a command left, by path: parsed without times, or as bytes. Not its logs."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in ("log.txt", "lock"):
            continue
        name, data = str(path.relative_to(folder)), path.read_bytes()
        if path.suffix == ".json":
            found[_without_hash(name)] = _timeless(json.loads(data))
        elif path.suffix in (".html", ".csv", ".safetensors", ".jpg", ".js", ".css"):
            found[name] = data
    return found


def _without_hash(name: str) -> str:
    """An attestation's name ends in a hash over content that tells the time."""
    return re.sub(r"\.(recomputed|reproduced)\.[0-9a-f]+\.json$", r".\1.json", name)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in TIMES}
    if isinstance(value, list):
        return [_timeless(item) for item in value]
    return value


def _stray(folder: Path) -> list[str]:
    """Files that only an unfinished call has."""
    signs = (".dmlbench-tmp", ".part", ".part.json", "checkpoint.pt")
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.endswith(signs) or path.name.startswith((".unpacking-", "unfinished-"))
    ]


if __name__ == "__main__":
    sys.exit(main())
