"""What the analysis of a study says of boards whose truth is known.

    python benchmarks/study_simulation.py docs/studies/combining.toml [--boards 1000]
    python benchmarks/study_simulation.py docs/studies/combining.toml --boards 1 --show FOLDER

For each truth, how often each contrast of the design gets each answer, in percent: the analysis
must find what is there, and must not find what is not. `--between` and `--within` are the standard
deviations, in points, of one row's noise between replicates or class splits (the luck of tuning is
part of it, where each is tuned by itself) and between the trials of one. `--show` writes the report
and the figures of one board of each truth.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dmlbench.statistics.intervals import Key
from dmlbench.study.analysis import Findings, Values, analyse
from dmlbench.study.boards import Found
from dmlbench.study.design import Study, read_study
from dmlbench.study.figures import plot_findings
from dmlbench.study.report import render_markdown

LEVEL = 0.4


def simulated_values(
    study: Study,
    effects: Mapping[str, float],
    between: float,
    within: float,
    generator: np.random.Generator,
) -> Values:
    """The values of a board on which each row's true mean is `LEVEL` plus its effect.

    effects, between, within: in points. A replicate or class split also moves all rows together.
    """
    values: dict[str, dict[str, dict[Key, float]]] = {}
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
    return values


def simulated(
    study: Study,
    effects: Mapping[str, float],
    between: float,
    within: float,
    generator: np.random.Generator,
) -> Findings:
    """Findings on a board of `simulated_values`."""
    return analyse(study, simulated_values(study, effects, between, within, generator))


def show(
    study: Study, name: str, effects: Mapping[str, float], between: float, within: float, to: Path
) -> None:
    """Write the report and the figures of one simulated board under a folder."""
    values = simulated_values(study, effects, between, within, np.random.default_rng(0))
    found, findings = Found(values, {}, [f"Simulated: {name}."]), analyse(study, values)
    folder = to / name.replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(render_markdown(study, found, findings), "utf-8")
    plot_findings(study, found, findings, folder)


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
    parser.add_argument("--show", type=Path, metavar="FOLDER", help="write reports there")
    given = parser.parse_args()
    study = read_study(given.design)
    truths = {"no effect": {}} | dict(map(_truth, given.truth))
    kinds = ("better", "no relevant lead", "inconclusive", "worse")
    print(f"| truth | contrast | {' | '.join(kinds)} |")
    print(f"|:--|:--|{'--:|' * len(kinds)}")
    for name, effects in truths.items():
        if given.show is not None:
            show(study, name, effects, given.between, given.within, given.show)
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
