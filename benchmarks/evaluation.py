"""Retrieval metrics against the one product they cannot do without, faiss, and others' code.

    python benchmarks/evaluation.py                                 # all sizes, minutes
    python benchmarks/evaluation.py --sizes cub --repeats 9 --json out.json

Sizes are those of the field's test sets, filled with clusters that overlap as those of a trained
network do, in classes as many and as large. All sides see the same embeddings, turn by turn, and
medians are reported. "floor" is one float32 product of the same shape, in chunks, with the faster
of NumPy and torch; "faiss" is IndexFlatIP's search for as many neighbours as the largest class
has, without any metric; "pml" is pytorch-metric-learning's AccuracyCalculator with
k="max_bin_count". Memory is the peak above the embeddings, each side in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from evaluation_sides import CHUNK, SIZES, Size, floors, make_data, others, ours, search

SIDES = ("floor", "ours", "faiss", "pml")
# Processor time leaves out what other processes took, and counts all threads of this one.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def seconds_of(action: Callable[..., Any], clock: Callable[[], float], *arguments: Any) -> float:
    started = clock()
    action(*arguments)
    return clock() - started


def medians(
    actions: dict[str, Callable[[], Any]], repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds, run turn by turn so that a busy moment hits all sides."""
    turns = [
        {name: seconds_of(action, clock) for name, action in actions.items()}
        for _ in range(repeats)
    ]
    return {name: statistics.median(turn[name] for turn in turns) for name in actions}


def measure(name: str, size: Size, sides: list[str], options: argparse.Namespace) -> dict:
    """One row: seconds, bytes and ratios of every side, and the metrics that were found."""
    data = make_data(size)
    clock, candidates = CLOCKS[options.clock], floors(data)
    few = min(4 * CHUNK, len(data.queries))
    tried = medians({n: lambda a=a: a(few) for n, a in candidates.items()}, 3, clock)
    faster = min(tried, key=tried.get)
    found: dict[str, Any] = {}

    def run_ours() -> None:
        found["result"] = ours(data, size)

    actions = {"floor": candidates[faster], "ours": run_ours}
    if "faiss" in sides:
        actions["faiss"] = lambda: search(data)
    row: dict[str, Any] = {
        "size": name,
        "shape": [len(data.queries), len(data.searched)],
        "width": size.width,
        "classes": size.num_classes,
        "floor": faster,
    }
    if "pml" in sides and size.pml_bytes <= options.memory_limit:
        actions["pml"] = lambda: others(data)
    elif "pml" in sides:
        row["note"] = f"pytorch-metric-learning needs about {size.pml_bytes / 1e9:.1f} GB: left out"
    long = tried[faster] * len(data.queries) / few > 2
    row["repeats"] = min(options.repeats, options.long_repeats) if long else options.repeats
    if not long:  # the first turn fills caches and pools
        medians(actions, 1, clock)
    row["seconds"] = medians(actions, row["repeats"], clock)
    result = found["result"]
    row["metrics"] = {
        "recall_at": result.recall_at,
        "map_at_r": result.map_at_r,
        "r_precision": result.r_precision,
        "knn_accuracy": result.knn_accuracy,
    }
    row["over_floor"] = {
        side: value / row["seconds"]["floor"] for side, value in row["seconds"].items()
    }
    # Of the other sides only where it takes seconds.
    row["bytes_above_embeddings"] = {
        side: peak_in_process(name, side, options.threads)
        for side in actions
        if side == "ours" or (side != "floor" and not long)
    }
    return row


def peak_in_process(name: str, side: str, threads: int) -> int:
    """Peak resident bytes above what the process had with its data and libraries loaded."""
    command = [sys.executable, __file__, "--peak", side, "--sizes", name]
    return int(
        subprocess.run(
            [*command, "--threads", str(threads)], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
    )


def peak(size: Size, side: str) -> int:
    data = make_data(size)
    small = make_data(Size(40, 0, 20, 8, (1,), 1.0, 0))
    sides = {"ours": lambda d: ours(d, size), "faiss": search, "pml": others}
    sides[side](small)  # libraries are no part of it
    with open("/proc/self/clear_refs", "w", encoding="ascii") as reset:
        reset.write("5")
    before = resident("VmRSS")
    sides[side](data)
    return resident("VmHWM") - before


def resident(field: str) -> int:
    with open("/proc/self/status", encoding="ascii") as stream:
        for line in stream:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def oracle_difference(size: Size) -> dict[str, float]:
    """The largest difference of any query's scores from a full sort in float64."""
    from dmlbench.evaluate import retrieval

    data = make_data(size)
    wide = data.queries.astype(np.float64)
    expected = oracle(wide, data.labels)
    out = {}
    for precision, rows in (("float64", wide), ("float32", data.queries)):
        found = retrieval(rows, data.labels, ks=size.ks)
        each = found.per_query
        pairs = [
            (each.average_precision_at_r, expected["average_precision"]),
            (each.r_precision, expected["r_precision"]),
        ]
        pairs += [(each.recall_at[k].astype(float), expected["first"] <= k) for k in size.ks]
        out[f"{precision}_any_query"] = max(float(np.abs(a - b).max()) for a, b in pairs)
        out[f"{precision}_any_mean"] = max(abs(float(a.mean() - b.mean())) for a, b in pairs)
    return out


def oracle(rows: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """AP@R, R-Precision and the first hit's rank, one query's whole list after the other."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    out: dict[str, list] = {"average_precision": [], "r_precision": [], "first": []}
    for query in range(len(unit)):
        similarities = unit @ unit[query]
        right = labels == labels[query]
        order = np.lexsort((right, -similarities))
        hits = right[order[order != query]]
        relevant = int(hits.sum())
        top = hits[:relevant]
        precision = np.cumsum(top) / np.arange(1, relevant + 1)
        out["average_precision"].append((precision * top).sum() / relevant)
        out["r_precision"].append(top.mean())
        out["first"].append(int(np.flatnonzero(hits)[0]) + 1)
    return {name: np.asarray(values) for name, values in out.items()}


def cluster_cost(size: Size, clock: Callable[[], float]) -> dict[str, float]:
    from dmlbench.evaluate import clustering

    data = make_data(size)
    started = clock()
    found = clustering(data.queries, data.labels)
    return {"seconds": clock() - started, "nmi": found.nmi, "ami": found.ami}


def lines(row: dict) -> list[str]:
    shape = " x ".join(f"{count:,}" for count in row["shape"])
    out = [f"{row['size']}: {shape}, width {row['width']}, floor with {row['floor']}"]
    for side, value in row["seconds"].items():
        memory = row["bytes_above_embeddings"].get(side)
        out.append(
            f"  {side:<6}{value:>9.3f} s{row['over_floor'][side]:>8.2f} x the floor"
            + (f"{memory / 1e9:>8.2f} GB" if memory is not None else "")
        )
    if "note" in row:
        out.append(f"  {row['note']}")
    if "clustering" in row:
        out.append(f"  NMI and AMI apart: {row['clustering']['seconds']:.1f} s")
    if "oracle" in row:
        out.append(f"  from a full sort in float64: {row['oracle']}")
    return out


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=",".join(SIZES), help="by commas")
    parser.add_argument("--sides", default=",".join(SIDES), help="floor and ours always run")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--long-repeats", type=int, default=1, help="where the floor takes 2 s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu on a busy machine")
    parser.add_argument(
        "--memory-limit",
        type=float,
        default=4e9,
        metavar="BYTES",
        help="leave pytorch-metric-learning out where it needs more",
    )
    parser.add_argument("--clustering", default="cub", help="sizes whose NMI and AMI are timed")
    parser.add_argument("--json", metavar="FILE", help="write the rows to FILE as well")
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)

    import torch

    torch.set_num_threads(options.threads)
    names = options.sizes.split(",")
    if options.peak:
        print(peak(SIZES[names[0]], options.peak))
        return 0
    rows = []
    for name in names:
        rows.append(measure(name, SIZES[name], options.sides.split(","), options))
        if name in options.clustering.split(","):
            rows[-1]["clustering"] = cluster_cost(SIZES[name], CLOCKS[options.clock])
        if name == "cub":
            rows[-1]["oracle"] = oracle_difference(SIZES[name])
        print("\n".join(lines(rows[-1])), flush=True)
        if options.json:  # after every size: the long ones come last
            with open(options.json, "w", encoding="utf-8") as stream:
                json.dump({"machine": machine(options), "rows": rows}, stream, indent=1)
                stream.write("\n")
    return 0


def machine(options: argparse.Namespace) -> dict[str, Any]:
    from importlib.metadata import version

    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        processor = next(line.split(":")[1].strip() for line in stream if "model name" in line)
    packages = ("torch", "numpy", "faiss-cpu", "pytorch-metric-learning")
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "threads": options.threads,
        "clock": options.clock,
        **{name: version(name) for name in packages},
    }


if __name__ == "__main__":
    # Before NumPy is imported, which takes the number of its threads from here.
    wanted = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
    if os.environ.get("OMP_NUM_THREADS") != wanted or "OPENBLAS_NUM_THREADS" in os.environ:
        os.environ.pop("OPENBLAS_NUM_THREADS", None)
        os.environ["OMP_NUM_THREADS"] = wanted
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sys.exit(main())
