"""Kill workers, nodes and drivers of a cluster of Ray, and check that nothing is lost.

    python benchmarks/cluster_campaign.py --kills 10
    python benchmarks/cluster_campaign.py --only plugin,two-drivers
    python benchmarks/cluster_campaign.py --only overhead

Starts a cluster of three nodes on this machine, each with its own cache. `kills` runs a command and
kills (SIGKILL), at a random moment while trials train, a process that a node has started, a node
with all its processes, or the command itself, which is then started again. The round fails if the
command does not end well, or if what it leaves differs from what a local run leaves (times and
machines apart).
`plugin` has a plugin on two of the nodes only, `two-drivers` starts the same command twice at once,
`overhead` compares the seconds per trial with those of the local executor, and `driver` measures
the driver's processor time per event, with trials that only talk. Takes `pip install ray`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cluster_nodes import NODES, Machines
from crash_campaign import _content
from crash_cases import TRAINED

from dmlbench.running.executors.node import Told

PLUGIN = """
from dmlbench.hookspecs import LossSpec, hookimpl

@hookimpl
def dmlbench_losses():
    return [LossSpec(name="elsewhere", target="campaign_loss:Loss", summary="Only here.")]
"""
LOSS = "from dmlbench.losses.triplet import TripletLoss as Loss\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the campaign; gives 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="kills,two-drivers,plugin,overhead,driver")
    options = parser.parse_args(arguments)
    cases = {
        "kills": lambda base, machines: kills(base, machines, options.kills, options.seed),
        "two-drivers": two_drivers,
        "plugin": plugin,
        "overhead": overhead,
        "driver": driver,
    }
    faults = 0
    with tempfile.TemporaryDirectory(prefix="cluster-") as folder:
        base = Path(folder)
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["DMLBENCH_CACHE"] = str(base / "cache")
        machines = Machines(base)
        try:
            for name in options.only.split(","):
                found = cases[name](base, machines)
                faults += len(found)
                for fault in found:
                    print(f"    {fault}", flush=True)
        finally:
            machines.cluster.shutdown()
    print(f"{faults} faults")
    return 1 if faults else 0


def kills(base: Path, machines: Machines, count: int, seed: int) -> list[str]:
    """Kill something of a run `count` times, once its first trial has finished an epoch."""
    draw, faults, tally = random.Random(seed), [], Counter()
    losses = ("--losses", "ms,proxy-anchor", "--seeds", "2", "--set", "recipe.epochs=40")
    out = base / "local-kills"
    assert _start(None, out, losses, executor="local").wait() == 0, _words(out)
    expected = _content(out)
    out = base / "whole"
    command = _start(machines, out, losses)
    _await_epoch(command, out)
    started = time.monotonic()
    assert command.wait() == 0, _words(out)
    seconds = time.monotonic() - started
    if _content(out) != expected:
        faults.append("without a kill: other content than a local run")
    again = lost = 0
    for number in range(count):
        out = base / f"kill-{number}"
        victim = draw.choice(["worker", "node", "driver"])
        command = _start(machines, out, losses)
        _await_epoch(command, out)
        time.sleep(draw.uniform(0, 0.9) * seconds)
        if command.poll() is not None:
            tally["too late"] += 1
        elif victim == "driver":
            command.kill()
            command.wait()
            command = _start(machines, out, losses)
        elif victim == "node":
            node = machines.nodes.pop(draw.randrange(NODES))
            machines.end(node)
            machines.nodes.append(machines.add())
        else:
            found = [pid for node in machines.nodes for pid in machines.trains(node)]
            with contextlib.suppress(ProcessLookupError):
                os.kill(draw.choice(found), signal.SIGKILL)
        tally[victim] += 1
        where = f"kill {number} ({victim})"
        code = command.wait(timeout=600)
        if code == 1 and victim == "worker":  # a trial's own process: as locally, it has no result
            tally["trials without a result, trained by the next call"] += 1
            code = _start(machines, out, losses).wait(timeout=600)
        if code:
            faults.append(f"{where}: exit code {code}: {_words(out)}")
        elif (found := _content(out)) != expected:
            differing = [k for k in {*found, *expected} if found.get(k) != expected.get(k)]
            faults.append(f"{where}: other content: {', '.join(sorted(differing)[:5])}")
        again += sum(_repeated(out))
        lost += Path(f"{out}.txt").read_text().count("It resumes elsewhere")
    print(
        f"kills: {dict(tally)}, {lost} trials resumed elsewhere, {again} epochs trained again, "
        f"{len(faults)} faults",
        flush=True,
    )
    return faults


def _await_epoch(command: subprocess.Popen[bytes], out: Path) -> None:
    """Wait until a trial of a run has finished an epoch, or the run has ended."""
    while command.poll() is None:
        if any("epoch " in log.read_text() for log in out.rglob("log.txt")):
            return
        time.sleep(0.1)


def two_drivers(base: Path, machines: Machines) -> list[str]:
    """The same command twice at once: every trial is trained once."""
    expected = _local(base)
    out = base / "two"
    commands = [_start(machines, out), _start(machines, out)]
    codes = [command.wait(timeout=600) for command in commands]
    faults = [f"exit codes {codes}: {_words(out)}"] if any(codes) else []
    if _content(out) != expected:
        faults.append("other content than a local run")
    if any(_repeated(out)):
        faults.append("an epoch was trained twice")
    print(f"two-drivers: {len(faults)} faults", flush=True)
    return faults


def plugin(base: Path, machines: Machines) -> list[str]:
    """A plugin that one node lacks: nothing is trained, and the node is named."""
    site = base / "site"
    info = site / "campaign-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: campaign\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dmlbench]\nplugin = campaign_plugin\n")
    (site / "campaign_plugin.py").write_text(PLUGIN)
    (site / "campaign_loss.py").write_text(LOSS)
    path = os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])
    while machines.nodes:
        machines.end(machines.nodes.pop())
    having = [machines.add(PYTHONPATH=path) for _ in range(2)]
    out = base / "plugin"
    losses = ["--losses", "elsewhere", "--combiner", "none"]
    faults = []
    if code := _start(machines, out, losses, PYTHONPATH=path).wait(timeout=600):
        faults.append(f"with the plugin everywhere: exit code {code}: {_words(out)}")
    lacking = machines.add()
    out = base / "lacking"
    code, said = _start(machines, out, losses, PYTHONPATH=path).wait(timeout=600), ""
    said = _words(out)
    if code != 3 or f"({lacking.node_id[:8]}) does not have the package campaign 1.0" not in said:
        faults.append(f"with a node without it: exit code {code}: {said}")
    if list(out.rglob("result.json")):
        faults.append("something was trained nonetheless")
    print(f"plugin: {said.strip()}", flush=True)
    machines.nodes = [*having, lacking]
    return faults


def overhead(base: Path, machines: Machines, repeats: int = 3) -> list[str]:
    """Seconds per trial, one at a time, on the cluster and here; the first of each is left out."""
    seconds = {"local": [], "ray": []}
    for number, executor in enumerate(["ray", "local"] * repeats):
        for seeds in ("1", "13"):
            options = ["--losses", "ms", "--combiner", "none", "--seeds", seeds, "--jobs", "1"]
            out = base / f"overhead-{number}-{seeds}"
            started = time.monotonic()
            assert _start(machines, out, options, executor=executor).wait() == 0, _words(out)
            seconds[executor].append(time.monotonic() - started)
    per_trial = {
        name: min((many - one) / 12 for one, many in zip(of[::2], of[1::2], strict=True))
        for name, of in seconds.items()
    }
    start = {name: min(of[::2]) for name, of in seconds.items()}
    for name, value in per_trial.items():
        print(
            f"overhead: {name:5} {value:.2f} s per further trial, {start[name]:.1f} s for one",
            flush=True,
        )
    return []


def driver(base: Path, machines: Machines) -> list[str]:
    """Processor time of the driver per event, with many trials in flight that train nothing."""
    import ray

    from dmlbench.running.executors.ray_cluster import RayExecutor
    from dmlbench.running.executors.ray_room import Share

    trials, events = 300, 20
    configuration = {"dataset": {}, "recipe": {}}
    jobs = [
        (
            number,
            {
                **{"kind": "validation", "configuration": configuration, "out": str(base / "talk")},
                **{"entry_id": f"{number:016x}", "code": "0" * 64, "seed": 0, "split": 0},
                "wait": False,
            },
        )
        for number in range(trials)
    ]
    with RayExecutor(machines.cluster.address, [], Share("cpu", 1)) as executor:
        for kilobytes in (0, 1000):
            talk = ray.remote(_talk).options(
                num_cpus=1, num_returns="streaming", _generator_backpressure_num_objects=2
            )
            executor._trial = _Bound(talk, events, kilobytes)
            executor.make_room(["cpu"], trials, trials)
            used = time.process_time()
            ended = sum(event.kind == "done" for event in executor.run(jobs))
            used = time.process_time() - used
            print(
                f"driver: {1000 * used / (trials * events):.2f} ms of processor time per event, "
                f"{trials} trials in flight, {events} events each with {kilobytes} kB",
                flush=True,
            )
            shutil.rmtree(base / "talk")
            if ended != trials:
                return [f"driver: {ended} of {trials} trials ended"]
    ray.shutdown()
    return []


class _Bound:
    """A task with its last arguments given."""

    def __init__(self, task: Any, *arguments: Any) -> None:
        self.task, self.arguments = task, arguments

    def remote(self, *arguments: Any) -> Any:
        return self.task.remote(*arguments, *self.arguments)


def _talk(message: Any, files: Any, orders: Any, events: int, kilobytes: int) -> Iterator[Told]:
    """What a trial tells that trains nothing."""
    yield Told("began", {"place": "somewhere"}, {})
    checkpoint = {"checkpoint.pt": bytes(1000 * kilobytes)} if kilobytes else {}
    for epoch in range(events):
        values = {"kind": "epoch_finished", "values": {"epoch": epoch}}
        yield Told("progress", values, checkpoint)
    result = {"validation_map_at_r": 0.5, "reason": None, "train_seconds": 1.0}
    yield Told("done", {"result": result}, {})


def _local(base: Path) -> dict[str, Any]:
    """What a run on this machine leaves."""
    out = base / "local"
    assert _start(None, out, executor="local").wait() == 0, _words(out)
    return _content(out)


def _start(
    machines: Machines | None,
    out: Path,
    options: Sequence[str] = ("--losses", "ms,proxy-anchor", "--seeds", "2"),
    executor: str = "ray",
    **environment: str,
) -> subprocess.Popen[bytes]:
    where = ["--executor", executor]
    if executor == "ray":
        where += ["--address", machines.cluster.address]
    with open(f"{out}.txt", "ab") as words:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "dmlbench", "run", *TRAINED, *options, *where),
                *("--leaderboards", str(out)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=words,
            env={**os.environ, **environment},
        )


def _words(out: Path) -> str:
    return Path(f"{out}.txt").read_text()[-800:]


def _repeated(out: Path) -> list[int]:
    """For each trial, how many epochs its log tells of more than once."""
    found = []
    for log in out.rglob("log.txt"):
        epochs = [line for line in log.read_text().splitlines() if line.startswith("epoch ")]
        found.append(len(epochs) - len(set(line.partition(":")[0] for line in epochs)))
    return found


if __name__ == "__main__":
    sys.exit(main())
