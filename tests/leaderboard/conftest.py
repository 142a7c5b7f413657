"""Small hand-made entries: `make_entry` builds a valid one from its losses and metric values."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.identity import sha256_of
from dmlbench.plan.protocol import Protocol

NUM_QUERIES = 1000


def component(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "distribution": "dmlbench",
        "version": "0.1.0",
        "name": name,
        "params": {},
        "source_sha256": sha256_of(name),
    } | changes


def metrics(map_at_r: float, recall: float, ks: tuple[int, ...], **changes: Any) -> dict[str, Any]:
    recall_at = {str(k): min(1.0, round(recall + 0.03 * i, 3)) for i, k in enumerate(ks)}
    return {
        "recall_at": recall_at,
        "map_at_r": map_at_r,
        "r_precision": min(1.0, map_at_r + 0.05),
        "knn_accuracy": recall,
        "nmi": 0.6,
        "ami": 0.5,
        "num_queries": NUM_QUERIES,
        "num_skipped": 0,
    } | changes


def epoch(number: int, num_losses: int, weighted: bool, seed: int) -> dict[str, Any]:
    fall = math.exp(-number / 6) + 0.02 * math.sin(7 * number + seed)
    return {
        "epoch": number,
        "objective": 0.4 + 2 * fall,
        "losses": [(0.2 + fall) * 10**j for j in range(num_losses)],
        "weights": [1 / num_losses + 0.01 * number * (-1) ** j for j in range(num_losses)]
        if weighted
        else None,
        "validation_map_at_r": validation(number, seed),
        "learning_rate": 0.001,
    }


def validation(number: int, seed: int) -> float:
    """Rises with every epoch, so that the last one is the best."""
    return min(1.0, 0.3 + 0.02 * number + 0.005 * math.sin(seed + number))


def make(
    losses: str | list[dict[str, Any]] = "triplet",
    map_at_r: list[float] | None = None,
    *,
    combiner: str | dict[str, Any] | None = None,
    recall: list[float] | None = None,
    seeds: list[int] | None = None,
    failed: dict[int, str] | None = None,
    dataset: str = "glyphs",
    ks: tuple[int, ...] = (1, 2, 4, 8),
    dim_budget: str = "total",
    protocol: str = "zsl-v1",
    embedding_dim: int = 64,
    recipe: dict[str, Any] | None = None,
    overrides: dict[str, Any] | None = None,
    epochs: int = 3,
    metric_changes: dict[str, Any] | None = None,
    **changes: Any,
) -> Entry:
    """An entry with one completed trial for each value of `map_at_r`, and then the failed ones.

    losses: names joined by "+", or component records. failed: seed -> reason.
    """
    map_at_r = [0.5, 0.51, 0.52] if map_at_r is None else map_at_r
    recall = recall or [min(1.0, round(value + 0.2, 3)) for value in map_at_r]
    seeds = seeds or list(range(len(map_at_r)))
    records = [component(n) for n in losses.split("+")] if isinstance(losses, str) else losses
    rules = Protocol(name=protocol, dim_budget=dim_budget, recall_at=ks).to_json()
    trial = {
        "reason": None,
        "failed_step": None,
        "best_epoch": epochs,
        "weights": [1 / len(records)] * len(records) if combiner else None,
        "embeddings": None,
        "cost": {
            "train_seconds": 12.0,
            "evaluate_seconds": 1.0,
            "peak_memory_bytes": 2**28,
            "peak_device_memory_bytes": 0,
        },
        "environment": {"device": "cpu", "packages": {"torch": "2.4"}},
    }
    trials = [
        trial
        | {
            "seed": seed,
            "status": "completed",
            "validation_map_at_r": validation(epochs, seed),
            "metrics": metrics(value, at_1, ks, **(metric_changes or {})),
            "history": [epoch(e, len(records), bool(combiner), seed) for e in range(1, epochs + 1)],
        }
        for seed, value, at_1 in zip(seeds, map_at_r, recall, strict=True)
    ]
    for seed, reason in (failed or {}).items():
        nothing = dict.fromkeys(("best_epoch", "validation_map_at_r", "metrics", "weights"))
        trials.append(
            trial | nothing | {"seed": seed, "status": "failed", "reason": reason, "history": []}
        )
    data = {
        "schema_version": 1,
        "entry_id": "0" * 16,
        "protocol": {"name": protocol, "sha256": sha256_of(rules), "rules": rules},
        "dataset": component(dataset)
        | {
            "fingerprint": sha256_of(["data", dataset]),
            "num_train_classes": 100,
            "num_train_images": 2000,
            "num_test_classes": 100,
            "num_test_images": NUM_QUERIES,
            "num_gallery_images": 0,
            "report": [],
        },
        "losses": records,
        "combiner": component(combiner) if isinstance(combiner, str) else combiner,
        "backbone": component("resnet-mini")
        | {"num_parameters": 300_000, "num_features": 128, "weights_sha256": None},
        "recipe": {"name": "quick", "epochs": epochs, "embedding_dim": embedding_dim}
        | (recipe or {}),
        "recipe_overrides": overrides or {},
        "embedding_dim": embedding_dim,
        "head_dims": [embedding_dim // len(records)] * len(records) if combiner else [
            embedding_dim
        ],
        "trials": trials,
        "dmlbench_version": "0.1.0",
        "dmlbench_commit": None,
        "core_sha256": sha256_of("core"),
        "submitter": None,
    } | changes  # fmt: skip
    identity = {
        name: None if data[name] is None else {
            k: data[name][k] for k in ("distribution", "name", "params")
        }
        for name in ("combiner", "dataset", "backbone")
    } | {
        "losses": [
            {k: loss[k] for k in ("distribution", "name", "params")} for loss in data["losses"]
        ],
        "recipe": data["recipe"],
        "protocol": data["protocol"]["rules"],
    }  # fmt: skip
    return Entry.model_validate(data | {"entry_id": sha256_of(identity)[:16]})


@pytest.fixture(scope="session")
def make_entry():
    return make


@pytest.fixture(scope="session")
def make_component():
    return component
