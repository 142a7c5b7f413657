"""How often the sentence on a combination is wrong when all rows are equally good.

    python benchmarks/verdict_simulation.py [--tables 5000]

A table has M single losses and one combination over all of them, five trials each; every value is
independent normal noise, so any difference is chance. As in
`dmlbench.leaderboard.comparison.verdict`, the combination is compared with the single loss of the
highest mean, and the p-value of a negative lead is multiplied by M. Prints a Markdown table of how
often the combination is found *worse*, without and with that factor, and how often it *better* its
best loss. The nominal rate is 2.5 % each.
"""

from __future__ import annotations

import argparse

import numpy as np

from dmlbench.statistics.intervals import paired_difference

TRIALS = 5
LEVEL = 0.05


def rates(losses: int, tables: int) -> tuple[float, float, float]:
    """Shares of *worse* uncorrected, *worse* and *better* over M losses; deterministic."""
    rng = np.random.default_rng(losses)
    uncorrected = worse = beats = 0
    for _ in range(tables):
        values = rng.normal(size=(losses + 1, TRIALS))
        combination, best = values[0], values[1 + values[1:].mean(axis=1).argmax()]
        pairs = [{(0, seed): float(v) for seed, v in enumerate(row)} for row in (combination, best)]
        found = paired_difference(*pairs)
        assert found.mean is not None and found.p_value is not None
        if found.mean < 0:
            uncorrected += found.p_value < LEVEL
            worse += losses * found.p_value < LEVEL
        else:
            beats += found.p_value < LEVEL
    return uncorrected / tables, worse / tables, beats / tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=5000, help="tables for each line")
    tables = parser.parse_args().tables
    print("| losses | *worse*, uncorrected | *worse* | *better* |")
    print("|---|---|---|---|")
    for losses in (2, 4, 10):
        cells = " | ".join(f"{100 * share:.1f} %" for share in rates(losses, tables))
        print(f"| {losses} | {cells} |")


if __name__ == "__main__":
    main()
