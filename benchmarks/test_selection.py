"""What picking the epoch on the test classes gives, which dmlbench's protocol rules out.

    python benchmarks/test_selection.py
    python benchmarks/test_selection.py --losses triplet,ms --seeds 3 --json out.json

Every trial is trained as `dmlbench run` trains it, but validation and test classes are scored
after every epoch, whatever the recipe's `validate_every`. Three ways to choose the reported epoch
are then compared on one and the same training: by validation MAP@R (the protocol's), the last one,
and the best Recall@1 on the test classes themselves. The gain of the last way over the first is
what a paper adds to its number by it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def trial(task: tuple[str, str, int, str, list[str]]) -> list[dict[str, float]]:
    """Validation MAP@R, test MAP@R and test Recall@1 of one seed after each epoch."""
    import torch

    from dmlbench.evaluate.retrieval import retrieval
    from dmlbench.plan.expressions import parse_assignment, split_list
    from dmlbench.plan.request import Request
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.planning import make_plan
    from dmlbench.training.build import build, training_split
    from dmlbench.training.data_source import DataSource
    from dmlbench.training.embed import embed_images
    from dmlbench.training.random_states import generator_for
    from dmlbench.training.train import Trainer, validation_map_at_r

    torch.set_num_threads(1)
    losses, combiner, seed, dataset, settings = task
    registry = load_plugins()
    request = Request(
        losses=split_list(losses),
        combiners=[combiner] if combiner else [],
        singles=not combiner,
        dataset=dataset,
        seeds=[seed],
        overrides=dict(map(parse_assignment, [*settings, "recipe.validate_every=1"])),
    )
    (configuration,) = make_plan(request, registry).configurations
    source = DataSource(configuration, registry)
    data, test = source.training(), source.whole().test
    parts = build(configuration, registry, data, torch.device("cpu"), seed).parts
    recipe = configuration.recipe
    train, held_out = training_split(configuration, data.train, seed)

    def validate(epoch: int) -> float:
        generator = generator_for(seed, f"validation {epoch}")
        return validation_map_at_r(parts, recipe, held_out, generator, configuration.protocol)

    trainer = Trainer(
        parts,
        recipe,
        train,
        seed,
        validate,
    )
    records = []
    for record in trainer.run():
        # Scoring changes neither weights nor the next epoch's random state, which is set anew.
        embedded = embed_images(parts, recipe, test, generator_for(seed, "embedding order test"))
        scores = retrieval(embedded.embeddings, test.labels, ks=(1,))
        records.append(
            {
                "validation_map_at_r": record["validation_map_at_r"],
                "test_map_at_r": scores.map_at_r,
                "test_recall_at_1": scores.recall_at[1],
            }
        )
    return records


def chosen(records: list[dict[str, float]]) -> dict[str, float]:
    """Test Recall@1 of the epoch that each way chooses."""

    def best(key: str) -> float:
        return max(records, key=lambda record: record[key])["test_recall_at_1"]

    return {
        "validation": best("validation_map_at_r"),
        "last": records[-1]["test_recall_at_1"],
        "test": best("test_recall_at_1"),
    }


def interval(values: list[float]) -> str:
    """Mean and half of the 95 % interval (Student t), in points."""
    from dmlbench.statistics.intervals import mean_interval

    found = mean_interval([100 * value for value in values])
    half = "" if found.low is None else f" ± {(found.high - found.low) / 2:.2f}"
    return f"{found.mean:.2f}{half}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--losses", default="triplet,multi-similarity,proxy-anchor,norm-softmax")
    parser.add_argument("--ensemble", default="triplet,multi-similarity", help="losses of wedl")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--dataset", default="glyphs")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    from dmlbench.plan.expressions import split_list

    rows = [(loss, "") for loss in split_list(options.losses)]
    rows += [(options.ensemble, "wedl")] if options.ensemble else []
    seeds = range(options.seeds)
    tasks = [(*row, seed, options.dataset, options.set) for row in rows for seed in seeds]
    with ProcessPoolExecutor(options.jobs) as pool:
        curves = dict(zip([task[:3] for task in tasks], pool.map(trial, tasks), strict=True))
    names = [f"wedl({losses})" if combiner else losses for losses, combiner in rows]
    width = max(map(len, names))
    print(f"Test Recall@1 in percent, by how the epoch was chosen; {options.seeds} seeds\n")
    print(f"{'':{width}}  {'validation':>14}  {'last epoch':>14}  {'test':>14}  {'test gives':>14}")
    gains: list[float] = []
    for name, row in zip(names, rows, strict=True):
        found = [chosen(curves[(*row, seed)]) for seed in seeds]
        columns = [interval([way[key] for way in found]) for key in ("validation", "last", "test")]
        gain = [way["test"] - way["validation"] for way in found]
        gains += gain
        cells = "  ".join(f"{cell:>14}" for cell in [*columns, interval(gain)])
        print(f"{name:{width}}  {cells}")
    print(f"\nMean gain from choosing on test classes: {100 * statistics.fmean(gains):.2f} points")
    if options.json:
        content: dict[str, Any] = {
            "machine": platform.processor() or platform.machine(),
            "dataset": options.dataset,
            "settings": options.set,
            "trials": [
                {"losses": losses, "combiner": combiner or None, "seed": seed, "epochs": epochs}
                for (losses, combiner, seed), epochs in curves.items()
            ],
        }
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
