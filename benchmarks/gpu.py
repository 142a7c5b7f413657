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
import copy
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # before CUDA starts

import numpy as np
import torch
from torch import nn

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


def trainer(bench: Bench, epochs: int, seed: int = 0) -> Any:
    """A training by `standard`: ResNet-50 at 224 pixels, images in memory."""
    import timm

    from dmlbench.combiners.fixed import EqualSum
    from dmlbench.data.images import ImageSet
    from dmlbench.data.transforms import TestTransform, TrainTransform
    from dmlbench.losses.multi_similarity import MultiSimilarityLoss
    from dmlbench.plan.recipe import load_recipe
    from dmlbench.training.model import EmbeddingModel
    from dmlbench.training.parts import TrainingModules
    from dmlbench.training.train import Trainer

    side, stored, classes, images, model = 224, 256, 100, 14, "resnet50"
    overrides: dict[str, Any] = {"epochs": epochs, "precision": "bfloat16", "frozen_epochs": 0}
    if bench.tiny:
        side, stored, classes, images, model = 32, 40, 8, 4, "resnet18"
        overrides |= {"input.size": side, "batch.classes": 4, "batch.images": 2}
    recipe = load_recipe("standard", overrides)
    torch.manual_seed(seed)
    backbone = timm.create_model(model, pretrained=False, num_classes=0)
    if recipe.channels_last:
        backbone.to(memory_format=torch.channels_last)
    shape = (side, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), recipe.channels_last)
    parts = TrainingModules(
        model=EmbeddingModel(backbone, [recipe.embedding_dim], recipe.layer_norm).to(bench.device),
        losses=nn.ModuleList([MultiSimilarityLoss()]).to(bench.device),
        loss_names=["multi-similarity"],
        combiner=EqualSum(1).to(bench.device),
        train_transform=TrainTransform(recipe.augment, *shape),
        test_transform=TestTransform(*shape),
        device=bench.device,
    )
    rng = np.random.default_rng(0)
    labels = np.arange(classes).repeat(images)
    pixels = rng.integers(0, 256, (len(labels), 3, stored, stored), dtype=np.uint8)
    train = ImageSet(pixels, labels, tuple(map(str, range(classes))))
    return Trainer(parts, recipe, train, seed, validate=None)


def images_a_second(bench: Bench, made: Any, strict: bool = False) -> float:
    """Of the epochs after the first. strict: steps may not wait for the device."""
    if strict:
        update = made._update

        def watched(*given: Any) -> None:
            with bench.no_waiting():
                update(*given)

        made._update = watched
    images = len(made.sampler) * made.recipe.batch.classes * made.recipe.batch.images
    took, ended = [], None
    for _ in made.run():
        bench.wait()
        now = time.perf_counter()
        if ended is not None:
            took.append(now - ended)
        ended = time.perf_counter()
    return images / statistics.median(took)


def bare_images_a_second(bench: Bench) -> float:
    """The same network, loss and optimiser on one batch that is on the device."""
    made = trainer(bench, 1)
    parts, recipe = made.parts, made.recipe
    count = recipe.batch.classes * recipe.batch.images
    side = recipe.input.size
    images = torch.randn(count, 3, side, side, device=bench.device)
    if recipe.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(recipe.batch.classes, device=bench.device).repeat_interleave(
        recipe.batch.images
    )
    for module in parts.modules().values():
        module.train()
    if recipe.freeze_batch_norm:
        parts.model.freeze_batch_norm()

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16, recipe.precision == "bfloat16"):
            features = parts.model.backbone(images)
        (embeddings,) = parts.model.embed(features.float())
        made.optimizer.zero_grad(set_to_none=True)
        parts.losses[0](embeddings, labels).backward()
        made.optimizer.step()

    return count / bench.seconds(step, 1 if bench.tiny else 10)


def measure_input(bench: Bench) -> None:
    bare = bare_images_a_second(bench)
    ours = images_a_second(bench, trainer(bench, 4))
    images_a_second(bench, trainer(bench, 2), strict=True)
    bench.row(
        "input", "standard / bare loop", ours / bare, "at least 0.97",
        images_a_second=ours, bare_images_a_second=bare,
    )  # fmt: skip


def measure_determinism(bench: Bench) -> None:
    from dmlbench.training.determinism import set_deterministic

    def choose(algorithms: bool, cudnn: bool, fill: bool) -> None:
        torch.use_deterministic_algorithms(algorithms, warn_only=True)
        torch.backends.cudnn.deterministic = cudnn
        torch.utils.deterministic.fill_uninitialized_memory = fill

    free = 0.0
    choices = {
        "nothing asked for": (False, False, False),
        "cuDNN alone": (False, True, False),
        "all, memory not filled (the default)": (True, True, False),
        "all, memory filled (torch's own)": (True, True, True),
    }
    for name, choice in choices.items():
        choose(*choice)
        rate = images_a_second(bench, trainer(bench, 3))
        free = free or rate
        held_to = "at least 0.95" if "default" in name else ""
        bench.row("determinism", name, rate / free, held_to, images_a_second=rate)
    set_deterministic(bench.device, True)
    weights = []
    for _ in range(2):
        made = trainer(bench, 2)
        for _ in made.run():
            pass
        state = copy.deepcopy(made.parts.model.state_dict())
        weights.append(torch.cat([one.double().flatten().cpu() for one in state.values()]))
    equal = float(torch.equal(*weights))
    bench.row("determinism", "two trainings, equal weights (1: yes)", equal, "at least 1")
    choose(False, False, True)


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
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder, "whole"), Path(folder, "parts")
        subprocess.run(command(bench, whole, "triplet", "--seeds", "1"), check=True)
        killed = subprocess.Popen(
            command(bench, parts, "triplet", "--seeds", "1"), start_new_session=True
        )
        while killed.poll() is None and not list(parts.rglob("checkpoint*")):
            time.sleep(0.05)
        if killed.poll() is None:
            os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        subprocess.run(command(bench, parts, "triplet", "--seeds", "1"), check=True)
        equal = float(metrics(whole) == metrics(parts))
    bench.row("resume", "after kill -9, equal metrics (1: yes)", equal, "at least 1")


def measure_several(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as folder:
        losses = "triplet,multi-similarity,proxy-anchor,contrastive"
        for name, jobs in (("one at a time", ["--jobs", "1"]), ("by default", [])):
            seeds = "1" if bench.tiny else "3"
            started = time.perf_counter()
            subprocess.run(
                command(bench, Path(folder, name), losses, "--seeds", seeds, *jobs), check=True
            )
            took = time.perf_counter() - started
            held_to = "at most 60" if not jobs else ""
            bench.row("several", f"{5 * int(seeds)} trials {name}, seconds", took, held_to)


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
