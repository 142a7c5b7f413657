"""Forward and backward of every built-in loss against pytorch-metric-learning's, as ratios.

    python benchmarks/losses.py                                # all losses, three sizes
    python benchmarks/losses.py --losses triplet,ms --sizes 512x128x4 --repeats 50 --json out.json

One run measures both sides on the same embeddings, turn by turn, and reports medians. A size is
batch x width x items a class. The floor is one B x B x D product, forward and backward, through
autograd; "products" is the two matrix products that no gradient can do without.
"""

from __future__ import annotations

import argparse
import inspect
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

SIZES = "128x128x4,512x128x4,1024x512x8"
CLASSES = 100  # for losses with proxies, at least; four times those in the batch, if more
MEMORY_LIMIT_BYTES = 4e9
# Processor time leaves out what other processes took, and counts all threads of this one.
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def pml_factories() -> dict[str, Callable[[int, int], Callable]]:
    """Built-in name -> (number of classes, width) -> pytorch-metric-learning's equivalent."""
    from pytorch_metric_learning import losses, miners

    def plain(make: Callable[[], Any]) -> Callable[[int, int], Callable]:
        return lambda classes, width: make()

    def mined(loss: Any, miner: Any) -> Callable[[int, int], Callable]:
        return lambda classes, width: lambda e, y: loss(e, y, miner(e, y))

    semi_hard = miners.TripletMarginMiner(0.2, "semihard")
    hard = miners.TripletMarginMiner(0.05, "hard")
    return {
        "contrastive": plain(losses.ContrastiveLoss),
        "triplet": plain(losses.TripletMarginLoss),
        "triplet(mining=semi-hard)": mined(losses.TripletMarginLoss(0.2), semi_hard),
        "triplet(mining=hard)": mined(losses.TripletMarginLoss(), hard),
        "triplet(mining=batch-hard)": mined(losses.TripletMarginLoss(), miners.BatchHardMiner()),
        "multi-similarity": mined(losses.MultiSimilarityLoss(), miners.MultiSimilarityMiner()),
        "multi-similarity(mining=false)": plain(losses.MultiSimilarityLoss),
        "nt-xent": plain(losses.NTXentLoss),
        "supcon": plain(losses.SupConLoss),
        "nca": plain(losses.NCALoss),
        "margin": plain(losses.MarginLoss),
        "margin(mining=distance-weighted)": mined(
            losses.MarginLoss(), miners.DistanceWeightedMiner()
        ),
        "circle": plain(losses.CircleLoss),
        "snr": plain(losses.SignalToNoiseRatioContrastiveLoss),
        "lifted-structure": plain(losses.GeneralizedLiftedStructureLoss),
        "n-pairs": plain(losses.NPairsLoss),
        "angular": plain(losses.AngularLoss),
        "tuplet-margin": plain(losses.TupletMarginLoss),
        "cross-batch-memory": lambda classes, width: losses.CrossBatchMemory(
            losses.ContrastiveLoss(), width, memory_size=1024
        ),
        "proxy-anchor": losses.ProxyAnchorLoss,
        "proxy-nca": losses.ProxyNCALoss,
        "norm-softmax": losses.NormalizedSoftmaxLoss,
        "cosface": losses.CosFaceLoss,
        "arcface": losses.ArcFaceLoss,
        "subcenter-arcface": lambda classes, width: losses.SubCenterArcFaceLoss(
            num_classes=classes, embedding_size=width
        ),
        "soft-triple": losses.SoftTripleLoss,
        "fastap": plain(losses.FastAPLoss),
        "histogram": plain(losses.HistogramLoss),
        "smooth-ap": plain(losses.SmoothAPLoss),
    }


def pml_bytes(name: str, batch: int, width: int, items: int) -> float:
    """About what pytorch-metric-learning holds at once, for what grows faster than B x B."""
    pairs = batch * (items - 1)
    triplets = pairs * (batch - items)
    base = name.partition("(")[0]
    if base in ("triplet", "margin") and "batch-hard" not in name and "weighted" not in name:
        return batch**3 + 60 * triplets  # a B x B x B byte mask, index lists, and what is indexed
    if base in ("nt-xent", "tuplet-margin"):
        return 20.0 * pairs * batch * (batch - items)  # every positive against every negative pair
    if base == "angular":
        return 4.0 * pairs * (width + 4 * batch)
    if base == "snr":
        return 16.0 * batch**2 * width
    if base == "smooth-ap":
        return 24.0 * batch**3
    if base == "histogram":
        return batch**3 + 150.0 * triplets  # the index lists become lists of Python's numbers
    return 0.0


def parse_sizes(text: str) -> list[tuple[int, int, int]]:
    """``"512x128x4,..."`` -> [(batch, width, items a class), ...]."""
    return [tuple(int(part) for part in size.split("x")) for size in text.split(",")]


def split_names(text: str) -> list[str]:
    """Split at commas outside of parentheses."""
    names, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            names.append("")
        else:
            names[-1] += char
    return [name.strip() for name in names if name.strip()]


def build(name: str, classes: int, width: int):
    """The built-in loss that ``name(key=value, ...)`` means."""
    from importlib import import_module

    from dmlbench.losses import LOSSES

    short, _, inside = name.partition("(")
    spec = next((s for s in LOSSES if short in (s.name, *s.aliases)), None)
    if spec is None:
        raise SystemExit(f"no built-in loss is named {short!r}")
    words = {"true": True, "false": False}
    given = dict(part.strip().split("=", 1) for part in inside.rstrip(")").split(",") if part)
    given = {key: words.get(value, value) for key, value in given.items()}
    module, _, attribute = spec.target.partition(":")
    found = getattr(import_module(module), attribute)
    supplied = {"num_classes": classes, "embedding_dim": width}
    asked = inspect.signature(found).parameters
    return found(**given, **{k: v for k, v in supplied.items() if k in asked})


def interleaved(
    actions: dict[str, Callable[[], None]], repeats: int, clock: Callable[[], float]
) -> dict[str, float]:
    """Median seconds of each action, run turn by turn so that a busy moment hits them all."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    slowest = 0.0
    for action in actions.values():  # the first turn fills caches and pools
        started = clock()
        action()
        slowest = max(slowest, clock() - started)
    if slowest > 2:
        repeats = min(repeats, 3)
    for _ in range(repeats):
        for name, action in actions.items():
            started = clock()
            action()
            seconds[name].append(clock() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure(
    name: str, size: tuple[int, int, int], repeats: int, limit: float, clock: Callable[[], float]
) -> dict[str, Any]:
    """One row: milliseconds of both sides and the floor, and their ratios."""
    import torch

    batch, width, items = size
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.nn.functional.normalize(
        torch.randn(batch, width, generator=generator)
    ).requires_grad_()
    labels = (torch.arange(batch) // items)[torch.randperm(batch, generator=generator)]
    classes = max(CLASSES, 4 * (batch // items))
    seed = torch.randn(batch, batch, generator=generator)

    def step(loss: Callable) -> Callable[[], None]:
        def run() -> None:
            embeddings.grad = None
            loss(embeddings, labels).backward()

        return run

    def floor() -> None:
        embeddings.grad = None
        (embeddings @ embeddings.T).backward(seed)

    def products() -> None:
        with torch.no_grad():
            embeddings @ embeddings.T
            seed @ embeddings

    actions = {"floor": floor, "products": products, "ours": step(build(name, classes, width))}
    row: dict[str, Any] = {"loss": name, "batch": batch, "width": width, "items": items}
    factory = pml_factories().get(name)
    needed = pml_bytes(name, batch, width, items)
    if factory is None:
        row["note"] = "pytorch-metric-learning has none"
    elif needed > limit:
        row["note"] = f"pytorch-metric-learning would need about {needed / 1e9:.0f} GB"
    else:
        actions["pml"] = step(factory(classes, width))
    seconds = interleaved(actions, repeats, clock)
    row |= {f"{side}_milliseconds": value * 1e3 for side, value in seconds.items()}
    row["ours_over_floor"] = seconds["ours"] / seconds["floor"]
    row["ours_over_products"] = seconds["ours"] / seconds["products"]
    if "pml" in seconds:
        row["pml_over_ours"] = seconds["pml"] / seconds["ours"]
    return row


HEADER = (
    f"{'loss':<34}{'ours ms':>9}{'pml ms':>10}{'pml/ours':>10}{'ours/floor':>12}"
    f"{'ours/products':>15}"
)


def line(row: dict[str, Any]) -> str:
    pml, ratio = row.get("pml_milliseconds"), row.get("pml_over_ours")
    text = f"{row['loss']:<34}{row['ours_milliseconds']:>9.2f}"
    text += f"{pml:>10.2f}{ratio:>10.1f}" if pml is not None else f"{'-':>10}{'-':>10}"
    text += f"{row['ours_over_floor']:>12.2f}{row['ours_over_products']:>15.2f}"
    return text + (f"  {row['note']}" if "note" in row else "")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default=SIZES, help="batch x width x items a class, by commas")
    parser.add_argument("--losses", help="names by commas, as name or name(key=value)")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu on a busy machine")
    parser.add_argument("--memory-limit", type=float, default=MEMORY_LIMIT_BYTES, metavar="BYTES")
    parser.add_argument("--json", metavar="FILE", help="write the rows to FILE as well")
    options = parser.parse_args(arguments)

    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # before torch is imported
    import torch

    from dmlbench.losses import LOSSES

    torch.set_num_threads(options.threads)
    names = split_names(options.losses or "")
    if not names:
        variants = [name for name in pml_factories() if "(" in name]
        for spec in LOSSES:
            names += [spec.name, *(v for v in variants if v.startswith(spec.name + "("))]
    rows = []
    for size in parse_sizes(options.sizes):
        print(f"\n{'x'.join(map(str, size))}, {options.threads} thread(s)\n{HEADER}", flush=True)
        for name in names:
            limit = options.memory_limit
            rows.append(measure(name, size, options.repeats, limit, CLOCKS[options.clock]))
            print(line(rows[-1]), flush=True)
    if options.json:
        machine = {"torch": torch.__version__, "processor": platform.processor(),
                   "cores": os.cpu_count(), "threads": options.threads, "clock": options.clock}
        with open(options.json, "w", encoding="utf-8") as stream:
            json.dump({"machine": machine, "rows": rows}, stream, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
