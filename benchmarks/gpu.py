"""Every figure that a GPU is held to, as ratios, in one command of less than ten minutes.

    python benchmarks/gpu.py                       # on the first GPU; writes results/gpu.json
    python benchmarks/gpu.py --parts losses,evaluation
    python benchmarks/gpu.py --device cpu --tiny   # the same code, for a test; no figure counts

input         training by `standard` at 224 pixels against a bare loop with its batch on the device
determinism   what each choice of deterministic operations costs; two trainings, digit for digit
evaluation    retrieval metrics against one float32 product; the CPU's numbers
losses        forward and backward against pytorch-metric-learning's, and a B x B x D product
resume        a trial that is killed and goes on, against one that is not
several       the default run of fifteen trials, as many at once as fit

On CUDA, steps of training and of every loss run under `torch.cuda.set_sync_debug_mode("error")`, so
one that waits for the device fails here by name. Each row ends with what it is held to.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts

import torch
from gpu_runs import measure_resume, measure_several
from gpu_training import measure_determinism, measure_input

RESULTS = Path(__file__).parent / "results" / "gpu.json"
LOSS_SIZES = ("512x128x4", "1024x512x4", "4096x512x4")
Row = dict[str, Any]


class Bench:
    """What is measured on, and the rows so far."""

    def __init__(self, device: torch.device, tiny: bool, dataset: str) -> None:
        self.device, self.tiny, self.dataset = device, tiny, dataset
        self.rows: list[Row] = []

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def seconds(self, step: Callable[[], Any], times: int) -> float:
        """Of one step, the median of three groups of up to `times` after a warm-up."""
        step()
        self.wait()
        started = time.perf_counter()
        step()
        self.wait()
        times = max(1, min(times, int(0.2 / (time.perf_counter() - started))))
        groups = []
        for _ in range(1 if self.tiny else 3):
            self.wait()
            started = time.perf_counter()
            for _ in range(times):
                step()
            self.wait()
            groups.append((time.perf_counter() - started) / times)
        return statistics.median(groups)

    def row(self, part: str, name: str, value: float, held_to: str = "", **more: Any) -> None:
        """Keep and print one figure. held_to: such as "at least 0.97"; "" for none."""
        kind, _, bound = held_to.rpartition(" ")
        reached = None
        if bound and not self.tiny:
            reached = value >= float(bound) if kind == "at least" else value <= float(bound)
        self.rows.append(
            {"part": part, "name": name, "value": value, "held_to": held_to, "reached": reached}
            | more
        )
        verdict = {None: "", True: "reached", False: "NOT REACHED"}[reached]
        shown = " ".join(f"{name}={number:.4g}" for name, number in more.items())
        print(f"{part:<12}{name:<44}{value:>9.3f}  {held_to:<14}{verdict:<12}{shown}", flush=True)

    @contextlib.contextmanager
    def no_waiting(self) -> Iterator[None]:
        """On CUDA: what waits for the device raises."""
        if self.device.type != "cuda":
            yield
            return
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")


def measure_evaluation(bench: Bench) -> None:
    from dmlbench.evaluate import retrieval

    sizes = [(400, 16, 5), (600, 16, 20)] if bench.tiny else [(60_502, 512, 5), (136_093, 512, 55)]
    for count, width, a_class in sizes:
        generator = torch.Generator().manual_seed(0)
        labels = torch.arange(count) // a_class
        centres = torch.randn(int(labels.max()) + 1, width, generator=generator)
        there = centres[labels] + 1.5 * torch.randn(count, width, generator=generator)
        embeddings = torch.nn.functional.normalize(there).to(bench.device)
        block = max(1, min(count, (1 << 31) // (4 * count)))

        def product() -> None:
            torch.set_float32_matmul_precision("highest")
            out = torch.empty(block, count, device=bench.device)  # noqa: B023
            for start in range(0, count, block):  # noqa: B023
                rows = embeddings[start : start + block]  # noqa: B023
                torch.matmul(rows, embeddings.T, out=out[: len(rows)])  # noqa: B023

        def scores() -> Any:
            return retrieval(embeddings, labels, ks=(1, 10, 100, 1000))  # noqa: B023

        floor, ours = bench.seconds(product, 1), bench.seconds(scores, 1)
        name = f"{count:,} x {width}, {a_class} a class / product"
        bench.row("evaluation", name, ours / floor, "at most 2", seconds=ours, product=floor)
        if count == sizes[0][0]:
            found, expected = scores(), retrieval(embeddings.cpu(), labels, ks=(1, 10, 100, 1000))
            differ = max(
                abs(found.map_at_r - expected.map_at_r),
                abs(found.r_precision - expected.r_precision),
                *(abs(found.recall_at[k] - expected.recall_at[k]) for k in found.recall_at),
            )
            bench.row("evaluation", "difference from the CPU's numbers", differ, "at most 1e-9")


def measure_losses(bench: Bench) -> None:
    from losses import Case, parse_sizes
    from twins import twin

    from dmlbench.losses import LOSSES
    from dmlbench.losses.host_labels import note_labels

    times = 1 if bench.tiny else 20
    for size in ["16x8x4"] if bench.tiny else LOSS_SIZES:
        (parsed,) = parse_sizes(size)
        floor = bench.seconds(Case("contrastive", parsed, bench.device).floor(), times)
        for spec in LOSSES:
            case = Case(spec.name, parsed, bench.device)
            note_labels(case.labels, case.labels.cpu().numpy())
            step = case.ours()
            for _ in range(case.settling):
                step()
            with bench.no_waiting():
                step()
            ours = bench.seconds(step, times)
            held_to = "at most 3" if size == LOSS_SIZES[-1] else ""
            held = f"{spec.name} {size} / product"
            bench.row("losses", held, ours / floor, held_to, ms=1e3 * ours)
            if twin(spec.name) is None:
                continue
            try:
                theirs = bench.seconds(case.theirs(), times)
            except (RuntimeError, AssertionError) as error:
                # Of all triplets at 4,096 items it takes more memory than there is.
                print(f"{'':<12}pytorch-metric-learning's fails: {str(error).splitlines()[0][:90]}")
                continue
            bench.row("losses", f"{spec.name} {size}: pml / ours", theirs / ours, "at least 1")


PARTS: dict[str, Callable[[Bench], None]] = {
    "input": measure_input,
    "determinism": measure_determinism,
    "evaluation": measure_evaluation,
    "losses": measure_losses,
    "resume": measure_resume,
    "several": measure_several,
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--parts", default=",".join(PARTS), help="by commas: " + ", ".join(PARTS))
    parser.add_argument("--tiny", action="store_true", help="small sizes, for a test of this file")
    parser.add_argument("--dataset", default="glyphs", help="of the parts resume and several")
    parser.add_argument("--json", type=Path, help="by default results/gpu.json, for all on a GPU")
    options = parser.parse_args(arguments)

    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    card = torch.cuda.get_device_name(device) if on_gpu else "no GPU"
    print(f"{card}, torch {torch.__version__}, {os.cpu_count()} cores\n", flush=True)
    bench, failed, started = Bench(device, options.tiny, options.dataset), [], time.perf_counter()
    for part in options.parts.split(","):
        try:
            PARTS[part](bench)
        except Exception:  # the other parts still tell what they can
            traceback.print_exc()
            failed.append(part)
    document = {
        "card": card,
        "cores": os.cpu_count(),
        "date": datetime.date.today().isoformat(),
        "versions": {name: metadata.version(name) for name in ("dmlbench", "torch", "timm")},
        "seconds": round(time.perf_counter() - started),
        "failed": failed,
        "rows": bench.rows,
    }
    whole = on_gpu and not options.tiny and options.parts == ",".join(PARTS)
    target = options.json or (RESULTS if whole else None)
    if target:
        target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"written to {target}")
    missed = [row["name"] for row in bench.rows if row["reached"] is False]
    print(f"\n{len(missed)} of {len(bench.rows)} figures not reached; failed: {failed or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
