"""Forward and backward of every built-in loss against pytorch-metric-learning's, as ratios.

    python benchmarks/losses.py                                # all losses, three sizes
    python benchmarks/losses.py --losses triplet,ms --sizes 512x128x4 --repeats 50 --json out.json
    python benchmarks/losses.py --losses contrastive+triplet+ms   # together, on one embedding

One run measures both sides on the same embeddings, turn by turn, and reports medians. A size is
batch x width x items a class. The floor is one B x B x D product, forward and backward, through
autograd; "products" is the two matrix products that no gradient can do without. Peak memory is
what a step adds to the process. Every measurement runs in a process with bounds on its time and
memory: what does not fit is "out of reach", with the reason. Measuring everything writes
benchmarks/results/losses.json.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from confined import OutOfReach, confined, peak_bytes
from twins import QUEUE, built_in, pml_factories, split_names, twin

SIZES = "128x128x4,512x128x4,1024x512x8"
RESULTS = Path(__file__).parent / "results" / "losses.json"
CLASSES = 100  # for losses with proxies, at least; four times those in the batch, if more
TOGETHER = "contrastive+triplet+multi-similarity"
KEYS = ("loss", "batch", "dim", "per_class", "ours_ms", "pml_ms", "floor_ms")
KEYS += ("ours_peak_mb", "pml_peak_mb", "note")  # of a row in JSON
# Processor time leaves out what other processes took, and counts all threads of this one.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
Size = tuple[int, int, int]
Step = Callable[[], None]


def parse_sizes(text: str) -> list[Size]:
    """``"512x128x4,..."`` -> [(batch, width, items a class), ...]."""
    return [tuple(int(part) for part in size.split("x")) for size in text.split(",")]


class Case:
    """A loss at a size: the batch, and steps of either side on it.

    device: a `torch.device`, or what names one.
    """

    def __init__(self, name: str, size: Size, device: Any = "cpu") -> None:
        import torch

        self.name, self.size = name, size
        self.batch, self.width, items = size
        generator = torch.Generator().manual_seed(0)
        units = torch.randn(self.batch, self.width, generator=generator)
        self.device = device
        units = torch.nn.functional.normalize(units).to(device)
        self.embeddings = units.requires_grad_()
        order = torch.randperm(self.batch, generator=generator)
        self.labels = (torch.arange(self.batch) // items)[order].to(device)
        self.classes = max(CLASSES, 4 * (self.batch // items))
        memory = any(part.startswith(("cross-batch-memory", "xbm")) for part in name.split("+"))
        self.settling = -(-QUEUE // self.batch) if memory else 1  # steps until all is in place

    def ours(self) -> Step:
        return self._step([built_in(part, self.classes, self.width) for part in self._parts()])

    def theirs(self) -> Step:
        return self._step([twin(part)(self.classes, self.width) for part in self._parts()])

    def floor(self) -> Step:
        seed = self._seed()

        def step() -> None:
            self.embeddings.grad = None
            (self.embeddings @ self.embeddings.T).backward(seed)

        return step

    def products(self) -> Step:
        seed, plain = self._seed(), self.embeddings.detach()

        def step() -> None:
            plain @ plain.T
            seed @ plain

        return step

    def _parts(self) -> list[str]:
        return self.name.split("+")

    def _seed(self):
        import torch

        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.batch, self.batch, generator=generator).to(self.device)

    def _step(self, losses: list[Any]) -> Step:
        for loss in losses:
            loss.to(self.device)

        def step() -> None:
            self.embeddings.grad = None
            sum(loss(self.embeddings, self.labels) for loss in losses).backward()

        return step


def peak_megabytes(name: str, size: Size, side: str) -> float:
    """The memory that a step of "ours" or "theirs" adds at its peak; for a fresh process."""
    batch, width, items = size
    # Code that is loaded when it is first used is no memory of the step.
    getattr(Case(name, (min(batch, 4 * items), width, items)), side)()()
    case = Case(name, size)
    step = getattr(case, side)()

    def settle() -> None:
        for _ in range(case.settling):
            step()

    return peak_bytes(settle) / 1e6


def medians(case: Case, sides: list[str], repeats: int, seconds: float, clock: str):
    """Median milliseconds of each side, run turn by turn so that a busy moment hits them all."""
    tick = CLOCKS[clock]
    steps = {side: getattr(case, side)() for side in sides}
    for _ in range(case.settling):  # the first turn fills caches and pools as well
        started = time.perf_counter()
        for step in steps.values():
            step()
        turn = time.perf_counter() - started
    took: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(max(3, min(repeats, int(seconds / turn)))):
        for side, step in steps.items():
            started = tick()
            step()
            took[side].append((tick() - started) * 1e3)
    return {side: statistics.median(values) for side, values in took.items()}


def measure(name: str, size: Size, options: argparse.Namespace) -> dict[str, Any]:
    """One row: milliseconds and peak memory of both sides, and why one has none."""
    bounds = {"memory_bytes": options.memory_limit * 1e9}
    first = {"seconds": options.step_limit, **bounds}
    sides, note, pml_peak = ["floor", "products", "ours"], None, None
    ours_peak = confined(lambda: peak_megabytes(name, size, "ours"), **first)
    if None in [twin(part) for part in name.split("+")]:
        note = "pytorch-metric-learning has none"
    else:
        try:
            pml_peak = confined(lambda: peak_megabytes(name, size, "theirs"), **first)
            sides.append("theirs")
        except OutOfReach as reason:
            note = f"pytorch-metric-learning's is out of reach: it {reason}"
    seconds = options.seconds
    found = confined(
        lambda: medians(Case(name, size), sides, options.repeats, seconds, options.clock),
        seconds=10 * options.step_limit + 10 * seconds,
        **bounds,
    )
    batch, width, items = size
    return {
        "loss": name,
        "batch": batch,
        "dim": width,
        "per_class": items,
        "ours_ms": found["ours"],
        "pml_ms": found.get("theirs"),
        "floor_ms": found["floor"],
        "products_ms": found["products"],
        "ours_peak_mb": ours_peak,
        "pml_peak_mb": pml_peak,
        "note": note,
    }


HEADER = (
    f"{'loss':<38}{'ours ms':>9}{'pml ms':>10}{'pml/ours':>10}{'ours/floor':>12}"
    f"{'ours/products':>15}{'ours MB':>9}{'pml MB':>9}"
)


def line(row: dict[str, Any]) -> str:
    def shown(value: float | None, width: int, digits: int) -> str:
        return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"

    ours, pml = row["ours_ms"], row["pml_ms"]
    text = f"{row['loss']:<38}" + shown(ours, 9, 2) + shown(pml, 10, 2)
    text += shown(pml and pml / ours, 10, 1) + shown(ours / row["floor_ms"], 12, 2)
    text += shown(ours / row["products_ms"], 15, 2)
    text += shown(row["ours_peak_mb"], 9, 1) + shown(row["pml_peak_mb"], 9, 1)
    return text + (f"  {row['note']}" if row["note"] else "")


def extremes(rows: list[dict[str, Any]]) -> str:
    """The rows that come closest to a bar, in words."""
    from dmlbench.losses import PAIR_LOSSES

    def place(row: dict[str, Any]) -> str:
        return f"{row['loss']} at {row['batch']}x{row['dim']}x{row['per_class']}"

    compared = [row for row in rows if row["pml_ms"] is not None]
    pairs = {spec.name for spec in PAIR_LOSSES}
    large = [r for r in rows if r["batch"] >= 512 and r["loss"].partition("(")[0] in pairs]
    found = []
    if compared:
        row = min(compared, key=lambda row: row["pml_ms"] / row["ours_ms"])
        found.append(
            f"least ahead of pytorch-metric-learning: {place(row)}, "
            f"{row['pml_ms'] / row['ours_ms']:.2f} times as fast"
        )
    if large:
        row = max(large, key=lambda row: row["ours_ms"] / row["floor_ms"])
        found.append(
            f"pair or triplet loss farthest above the floor, from 512 items: "
            f"{place(row)}, {row['ours_ms'] / row['floor_ms']:.2f} times the floor"
        )
    return "\n".join(found)


def document(rows: list[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """What is written as JSON."""
    kept = [
        {k: round(v, 4) if isinstance(v, float) else v for k, v in row.items() if k in KEYS}
        for row in rows
    ]
    packages = ("dmlbench", "torch", "pytorch-metric-learning")
    return {
        "machine": f"{processor()}, {os.cpu_count()} cores, {options.threads} used, "
        f"{options.clock} clock",
        "date": datetime.date.today().isoformat(),
        "versions": {"python": platform.python_version()}
        | {package: metadata.version(package) for package in packages},
        "rows": kept,
    }


def processor() -> str:
    for text in Path("/proc/cpuinfo").read_text().splitlines():
        if text.startswith("model name"):
            return text.partition(":")[2].strip()
    return platform.machine()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=SIZES, help="batch x width x items a class, by commas")
    parser.add_argument("--losses", help="names by commas, as name, name(key=value) or name+name")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=5.0, help="for a row, if 3 turns fit")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu on a busy machine")
    parser.add_argument("--memory-limit", type=float, default=4.0, metavar="GB", help="for a step")
    parser.add_argument("--step-limit", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows to FILE")
    options = parser.parse_args(arguments)

    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported
    import pytorch_metric_learning.losses  # noqa: F401  # once, for all processes
    import torch

    from dmlbench.losses import LOSSES

    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # pytorch-metric-learning's, of every process
    names = split_names(options.losses or "")
    if not names:
        variants = [name for name in pml_factories() if "(" in name]
        for spec in LOSSES:
            names += [spec.name, *(v for v in variants if v.startswith(spec.name + "("))]
        names.append(TOGETHER)
    rows = []
    for size in parse_sizes(options.sizes):
        print(f"\n{'x'.join(map(str, size))}, {options.threads} thread(s)\n{HEADER}", flush=True)
        for name in names:
            rows.append(measure(name, size, options))
            print(line(rows[-1]), flush=True)
    print(f"\n{extremes(rows)}")
    whole = options.losses is None and options.sizes == SIZES
    target = options.json or (RESULTS if whole else None)
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(document(rows, options), indent=1) + "\n", encoding="utf-8")
        print(f"written to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
