"""What the analysis of a study says of boards whose truth is known.

    python benchmarks/study_simulation.py docs/studies/combining.toml [--boards 1000]

For each truth, how often each contrast of the design gets each answer, in percent: the analysis
must find what is there, and must not find what is not. `--between` and `--within` are the standard
deviations, in points, of one row's noise between replicates or class splits (the luck of tuning is
part of it, where each is tuned by itself) and between the trials of one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping

import numpy as np

from dmlbench.study.analysis import Findings, analyse
from dmlbench.study.design import Study, read_study

LEVEL = 0.4


def simulated(
    study: Study,
    effects: Mapping[str, float],
    between: float,
    within: float,
    generator: np.random.Generator,
) -> Findings:
    """Findings on a board on which each row's true mean is `LEVEL` plus its effect.

    effects, between, within: in points. A replicate or class split also moves all rows together.
    """
    values = {}
    for dataset in study.datasets:
        keys = study.keys(dataset)
        units = sorted({unit for unit, _ in keys})
        shared = dict(zip(units, generator.normal(0, 3, len(units)), strict=True))
        values[dataset] = {}
        for row in study.rows_of(dataset):
            own = dict(zip(units, generator.normal(0, between, len(units)), strict=True))
            values[dataset][row] = {
                (unit, seed): LEVEL
                + (effects.get(row, 0.0) + shared[unit] + own[unit] + generator.normal(0, within))
                / 100
                for unit, seed in keys
            }
    return analyse(study, values)


def answers(
    study: Study,
    effects: Mapping[str, float],
    boards: int,
    between: float,
    within: float,
    seed: int = 0,
) -> dict[str, Counter[str]]:
    """How often each contrast has each answer, over datasets and simulated boards."""
    generator = np.random.default_rng(seed)
    counts: dict[str, Counter[str]] = {name: Counter() for name in study.contrasts}
    for _ in range(boards):
        for one in simulated(study, effects, between, within, generator).answers:
            counts[one.name][one.answer] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("design")
    parser.add_argument("--boards", type=int, default=200)
    parser.add_argument("--between", type=float, default=1.0)
    parser.add_argument("--within", type=float, default=2.0)
    parser.add_argument(
        "--truth",
        action="append",
        default=[],
        metavar="NAME:ROW=POINTS,...",
        help="a truth: rows with their effects; rows that are not named have none",
    )
    parser.add_argument("--primary", action="store_true", help="only primary contrasts")
    given = parser.parse_args()
    study = read_study(given.design)
    truths = {"no effect": {}} | dict(map(_truth, given.truth))
    kinds = ("better", "no relevant lead", "inconclusive", "worse")
    print(f"| truth | contrast | {' | '.join(kinds)} |")
    print(f"|:--|:--|{'--:|' * len(kinds)}")
    for name, effects in truths.items():
        found = answers(study, effects, given.boards, given.between, given.within)
        for contrast, counts in found.items():
            if given.primary and not study.contrasts[contrast].primary:
                continue
            total = sum(counts.values())
            shares = (f"{100 * counts[kind] / total:.1f}" for kind in kinds)
            print(f"| {name} | {contrast} | {' | '.join(shares)} |")


def _truth(text: str) -> tuple[str, dict[str, float]]:
    name, _, effects = text.partition(":")
    pairs = (part.split("=") for part in effects.split(","))
    return name, {row.strip(): float(value) for row, value in pairs}


if __name__ == "__main__":
    main()
