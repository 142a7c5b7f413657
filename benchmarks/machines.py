"""How far rounding moves a trial that another machine trains again, beside what a seed moves.

    python benchmarks/machines.py [--seeds 5] [--folder /tmp/machines]

Machines differ in vector instructions, kernels and threads. This trains the same trials on one
processor with each of these limited in turn, and compares MAP@R for the same seed with the first
setting. Prints a Markdown table; the tolerance is that of
`dmlbench.leaderboard.verification.agreement`. Trials that are there already are not trained again.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

import dmlbench
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_value
from dmlbench.leaderboard.entries.store import read_entries
from dmlbench.leaderboard.verification.agreement import COMPARED, difference_allowed

#: What is limited -> environment and options. The first is as the machine comes, with one thread.
SETTINGS: dict[str, tuple[dict[str, str], list[str]]] = {
    "one thread": ({}, []),
    "two threads": ({}, ["--threads", "2"]),
    "PyTorch's kernels: AVX2": ({"ATEN_CPU_CAPABILITY": "avx2"}, []),
    "PyTorch's kernels: none of these": ({"ATEN_CPU_CAPABILITY": "default"}, []),
    "MKL: compatible": ({"MKL_CBWR": "COMPATIBLE"}, []),
    "oneDNN: AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, []),
    "all of these": (
        {
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_CBWR": "COMPATIBLE",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
        },
        ["--threads", "2"],
    ),
}
LOSSES = "multi-similarity,contrastive,proxy-anchor"
REQUEST = [
    *("--losses", LOSSES, "--combiner", "none", "--jobs", "1", "--device", "cpu"),
    *("--dataset", "glyphs(classes=100, images_per_class=16)"),
    *("--set", "recipe.epochs=16", "--set", "recipe.validate_every=4"),
]


def trained(folder: Path, seeds: int, setting: str) -> dict[str, Entry]:
    """The entries of one setting, by loss."""
    environment, options = SETTINGS[setting]
    out = folder / setting.replace(" ", "-").replace(":", "").replace("'", "")
    command = [sys.executable, "-m", "dmlbench", "run", *REQUEST, *options]
    subprocess.run(
        [*command, "--seeds", str(seeds), "--out", str(out)],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    entries, problems = read_entries(next(out.glob("zsl-*/glyphs")))
    assert not problems, problems
    return {entry.label: entry for entry in entries}


def line(loss: str, setting: str, first: Entry, again: Entry, metric: str) -> list[str]:
    """One row of the table. Points of a metric, by the trials of both entries."""
    pairs = [
        (metric_value(a.metrics, metric), metric_value(b.metrics, metric))
        for a, b in zip(first.trials, again.trials, strict=True)
    ]
    values = [a for a, _ in pairs]
    moved = [b - a for a, b in pairs]
    spread = statistics.stdev(values)
    share = math.sqrt(statistics.fmean(d * d for d in moved)) / (math.sqrt(2) * spread)
    beyond = sum(abs(d) > difference_allowed(values, 1) for d in moved)
    whole = abs(statistics.fmean(moved)) > difference_allowed(values, len(moved))
    return [
        loss,
        setting,
        f"{sum(d == 0 for d in moved)} of {len(moved)}",
        f"{100 * max(map(abs, moved)):.2f}",
        f"{100 * statistics.fmean(moved):+.2f}",
        f"{100 * spread:.2f}",
        f"{share:.2f}",
        f"{beyond} of {len(moved)}, {int(whole)} of 1",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/machines"))
    given = parser.parse_args()
    entries = {name: trained(given.folder, given.seeds, name) for name in SETTINGS}
    first, *others = SETTINGS
    print(f"dmlbench {dmlbench.__version__}, setting {first!r} against each of the others")
    for metric in COMPARED:
        print(
            f"\n{metric}, in points\n\n| loss | limited | equal | largest | mean | between seeds | "
            "share | beyond the tolerance |\n|---|---|---|---|---|---|---|---|"
        )
        for loss in entries[first]:
            for setting in others:
                row = line(loss, setting, entries[first][loss], entries[setting][loss], metric)
                print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
