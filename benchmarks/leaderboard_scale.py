"""Measures leaderboards of many entries: how long each command takes, and how much memory.

    python benchmarks/leaderboard_scale.py --entries 5000 --commands show,verify,site
    python benchmarks/leaderboard_scale.py --entries 100000 --groups 2000 --keep FOLDER

Entries are copies of one that was trained, with another loss parameter, seeds' numbers and group
each; every one of them is valid, and its file as large as those of real entries. Each command runs
in a process of its own with an empty cache, `show` twice. Prints a table, and JSON with --json.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from dmlbench.plan.identity import sha256_of

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "show": ["leaderboard", "show", "--leaderboards", "{board}"],
    "show again": ["leaderboard", "show", "--leaderboards", "{board}"],
    "show --csv": ["leaderboard", "show", "--csv", "--leaderboards", "{board}"],
    "verify": ["leaderboard", "verify", "--quick", "--leaderboards", "{board}"],
    "site": ["leaderboard", "site", "--no-gallery", "{site}", "--leaderboards", "{board}"],
}
COMBINERS = ("sum", "wedl", "wel", "dwa", "rlw", "pcgrad")
LOSSES = ("triplet", "multi-similarity", "contrastive", "proxy-anchor", "arcface", "smooth-ap")


def write_board(board: Path, entries: int, groups: int, epochs: int, seed: int = 0) -> int:
    """Write a board of valid entries; gives the bytes of an entry, on average.

    A group has single losses with different parameters and combinations of them. Groups differ in
    the classes of a batch; the first is made, and the others are its text with another recipe, id
    and training times.
    """
    made = random.Random(seed)
    folder = board / "zsl-v2" / "glyphs"
    folder.mkdir(parents=True)
    per_group = -(-entries // groups)
    models = [make_entry(made, place, epochs) for place in range(per_group)]
    texts = [to_json(model, indent=1) for model in models]
    total = 0
    for number in range(entries):
        group, place = divmod(number, per_group)
        identity = copy.deepcopy(models[place]["identity"])
        identity["recipe"]["batch"]["classes"] = classes = 8 + group
        entry_id = sha256_of(identity)[:16]
        text = texts[place].replace(models[place]["entry_id"].encode(), entry_id.encode())
        text = text.replace(_CLASSES, str(classes).encode())
        for _ in range(5):
            text = text.replace(_SECONDS, f"{40 + made.random():.9f}".encode(), 1)
        (folder / f"{entry_id}.json").write_bytes(text)
        total += len(text)
    return total // entries


# What the text of a model has in the place of what differs between groups.
_CLASSES, _SECONDS = b"987654", b"98765.4321"


def make_entry(made: random.Random, place: int, epochs: int) -> dict[str, Any]:
    """One valid entry of schema 2 as JSON values."""
    combined = place % 2 == 1
    names = [LOSSES[place % len(LOSSES)]]
    if combined:
        names.append(LOSSES[(place + 1 + place // 6) % len(LOSSES)])
    losses = [_component(n, {"margin": round(0.01 * (place // 2 + 1), 4)}) for n in names]
    combiner = _component(COMBINERS[place // 2 % len(COMBINERS)]) if combined else None
    recipe = {
        "name": "quick",
        "epochs": epochs,
        "embedding_dim": 64,
        "batch": {"classes": int(_CLASSES)},
    }
    data = copy.deepcopy(_frame())
    level = made.uniform(0.2, 0.4)
    data |= {
        "losses": [{**loss, "learning_rate": None} for loss in losses],
        "combiner": combiner,
        "recipe": recipe,
        "recipe_overrides": {"batch.classes": int(_CLASSES)},
        "head_dims": [32, 32] if combined else [64],
        "trials": [_trial(made, s, level, epochs, len(names), combined) for s in range(5)],
    }
    identity = {
        "losses": [_named(loss) for loss in losses],
        "combiner": combiner and _named(combiner),
        "dataset": _named(data["dataset"]),
        "backbone": _named(data["backbone"]),
        "recipe": recipe,
        "protocol": data["protocol"]["rules"],
    }
    data["identity"] = identity
    data["entry_id"] = sha256_of(identity)[:16]
    return data


def _named(record: dict[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("distribution", "name", "params")}


def _component(name: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "distribution": "dmlbench", "version": "0.1.0", "name": name, "params": params or {},
        "source_sha256": None,
    }  # fmt: skip


def _frame() -> dict[str, Any]:
    from dmlbench.leaderboard.verification.fingerprints import _GLYPHS, _KNOWN
    from dmlbench.plan.protocol import Protocol

    rules = Protocol(recall_at=(1, 2, 4, 8)).to_json()
    (glyphs,) = _KNOWN.values()
    return {
        "schema_version": 2,
        "protocol": {"name": rules["name"], "sha256": sha256_of(rules), "rules": rules},
        "dataset": _component("glyphs", dict(_GLYPHS)) | glyphs | {"report": []},
        "backbone": _component("resnet-mini", {"channels": [16, 32, 64]})
        | {"num_parameters": 77_000, "num_features": 64, "weights_sha256": None},
        "embedding_dim": 64,
        "tuning": [],
        "dmlbench_version": "0.1.0",
        "dmlbench_commit": None,
        "results_version": 1,
        "core_sha256": None,
        "submitter": "generator",
        "head_parameters": 4160,
        "paper": None,
        "code": None,
    }


def _trial(
    made: random.Random, seed: int, level: float, epochs: int, losses: int, combined: bool
) -> dict[str, Any]:
    queries = 4800
    map_at_r = min(0.9, max(0.01, level + made.gauss(0, 0.01)))
    recalls = [round(min(1.0, map_at_r + 0.3 + 0.08 * i) * queries) / queries for i in range(4)]
    course = [min(1.0, map_at_r * (e + 1) / epochs) for e in range(epochs)]
    weights = [1 / losses] * losses if combined else None
    history = [
        {
            "epoch": e + 1,
            "objective": made.random(),
            "losses": [made.random() for _ in range(losses)],
            "weights": weights,
            "validation_map_at_r": course[e],
            "learning_rate": 0.004 * (1 - e / epochs),
        }
        for e in range(epochs)
    ]
    return {
        "split": 0,
        "seed": seed,
        "status": "completed",
        "reason": None,
        "failed_step": None,
        "best_epoch": epochs,
        "validation_map_at_r": course[-1],
        "metrics": {
            "recall_at": {str(2**i): value for i, value in enumerate(recalls)},
            "map_at_r": map_at_r,
            "r_precision": min(1.0, map_at_r + 0.1),
            "knn_accuracy": recalls[0],
            "nmi": 0.8,
            "ami": 0.7,
            "num_queries": queries,
            "num_skipped": 0,
        },
        "weights": weights,
        "history": history,
        "embeddings": None,
        "cost": {
            "train_seconds": float(_SECONDS),
            "process_seconds": 39 + made.random(),
            "device_seconds": None,
            "refit_seconds": None,
            "evaluate_seconds": 1.0,
            "peak_memory_bytes": 2**29,
            "peak_device_memory_bytes": 0,
        },
        "environment": {
            "device": "cpu",
            "cpu": "generated",
            "threads": 1,
            "packages": {name: "1.0" for name in ("torch", "timm", "numpy", "faiss", "pillow")},
        },
        "finished_at": "2026-01-31T12:00:00Z",
        "data": None,
        "refit_history": None,
    }


def measure(name: str, board: Path, scratch: Path) -> dict[str, Any]:
    """Seconds and peak memory (bytes, the largest process) of one command."""
    words = [w.format(board=board, site=scratch / "site") for w in COMMANDS[name]]
    environment = {**os.environ, "DMLBENCH_CACHE": str(scratch / "cache"), "COLUMNS": "120"}
    start = time.perf_counter()
    with open(scratch / "out", "wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", _MEASURED, *words], stdout=out, stderr=subprocess.PIPE,
            env=environment,
        )  # fmt: skip
        _, said = process.communicate()
    seconds = time.perf_counter() - start
    lines = said.decode().splitlines()
    if process.returncode not in (0, 1):
        raise SystemExit(f"{name} failed: {said.decode()[-2000:]}")
    own, children, cpu = map(float, lines[-1].split())
    return {
        "command": name,
        "seconds": round(seconds, 2),
        "processor_seconds": cpu,
        "megabytes": round(own / 1024),
        "largest_child_megabytes": round(children / 1024),
        "output_bytes": (scratch / "out").stat().st_size,
    }


_MEASURED = """
import resource, sys
from dmlbench.cli import main
try:
    main(sys.argv[1:])
finally:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu = sum(of.ru_utime + of.ru_stime for of in used)
    print(*(of.ru_maxrss for of in used), round(cpu, 2), file=sys.stderr)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--entries", type=int, default=5000)
    parser.add_argument("--groups", type=int, help="[default: a group per 50 entries]")
    parser.add_argument("--epochs", type=int, default=20, help="rows of each trial's history")
    parser.add_argument("--commands", default=",".join(COMMANDS))
    parser.add_argument("--keep", type=Path, help="write the board here, or take the one there")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="dmlbench-scale-"))
    board = given.keep or scratch / "board"
    if not board.exists():
        groups = given.groups or max(1, given.entries // 50)
        size = write_board(board, given.entries, groups, given.epochs)
        print(f"{given.entries} entries of {size / 1000:.1f} kB in {groups} groups", flush=True)
        time.sleep(3)  # a file that has just changed is not kept in the cache
    found = []
    for name in given.commands.split(","):
        found.append(measure(name, board, scratch))
        line = "{command:<12} {seconds:>8.2f} s, {processor_seconds:.2f} s of processors, "
        print((line + "{megabytes} MB").format(**found[-1]), flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
