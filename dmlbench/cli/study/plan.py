"""``dmlbench study plan``: what a design trains, what is done, and what it could see."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from dmlbench.cli.options import json_option, leaderboards_option, without_option


@click.command("plan")
@click.argument("design", type=click.Path(path_type=Path))
@leaderboards_option()
@without_option
@json_option
def plan_command(design: Path, leaderboards: Path, without: tuple[str, ...], as_json: bool) -> None:
    """Show the rows of DESIGN, which trials are done, and the differences it could see.

    The last come from the variances of the trials in the leaderboards, such as those of a pilot.
    """
    from dmlbench.cli.tables import print_table, print_text
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.study.boards import find_in, study_rows
    from dmlbench.study.design import read_study
    from dmlbench.study.precision import precision

    study = read_study(design)
    registry = load_plugins(without)
    rows = study_rows(study, registry, leaderboards)
    found = find_in(study, registry, leaderboards, even_empty=True)
    seen = precision(study, found.values)
    planned = set(study.keys)
    listed = []
    for row in rows:
        entry = found.entries.get(row.dataset, {}).get(row.name)
        done = planned & set(found.values.get(row.dataset, {}).get(row.name, {}))
        listed.append(
            {
                "row": row.name,
                "dataset": row.dataset,
                "configuration": row.setting.configuration.label(),
                "tuning_trials": study.budget if row.tuned else 0,
                "entry_id": None if entry is None else entry.entry_id,
                "trials_done": len(done),
                "trials": len(planned),
                "cpu_seconds": None if entry is None else _seconds(entry),
            }
        )
    if as_json:
        click.echo(json.dumps({"rows": listed, "precision": [asdict(one) for one in seen]}))
        return
    print_text(
        f"{study.title}: {len(rows)} rows of {len(study.splits)} class splits × {study.seeds} seeds"
    )
    print_table(
        ["Row", "Dataset", "Configuration", "Tuning", "Trials", "Entry"],
        [
            [
                one["row"],
                one["dataset"],
                one["configuration"],
                str(one["tuning_trials"] or "none"),
                f"{one['trials_done']}/{one['trials']}",
                one["entry_id"] or "",
            ]
            for one in listed
        ],
    )
    print_text(_cost(listed, study.budget))
    for one in seen:
        print_text(_precision(study, one))


def _seconds(entry: Any) -> float | None:
    seconds = [trial.cost.process_seconds for trial in entry.completed]
    known = [value for value in seconds if value is not None]
    return sum(known) / len(known) if known else None


def _cost(rows: list[dict[str, Any]], budget: int) -> str:
    """How much is left, by what a trial of the rows that are there costs."""
    known = [row["cpu_seconds"] for row in rows if row["cpu_seconds"] is not None]
    trials = sum(row["trials"] - row["trials_done"] for row in rows)
    tuning = sum(row["tuning_trials"] for row in rows if not row["trials_done"])
    text = f"Left: {trials} trials and {tuning} tuning trials"
    if not known:
        return f"{text}."
    mean = sum(known) / len(known)
    return (
        f"{text}, about {(trials + tuning) * mean / 3600:.1f} processor hours at {mean:.0f} s each."
    )


def _precision(study: Any, one: Any) -> str:
    between, within = one.components
    spread = f"within a split {within:.1f}"
    if not math.isnan(between):
        spread = f"between splits {between:.1f}, {spread}"
    text = (
        f"{one.name} on {one.dataset}: standard deviation of the paired difference {spread} points "
        f"({one.trials} pairs)"
    )
    if one.smallest is None:
        return f"{text}; too few units to test."
    return (
        f"{text}; the design finds {one.smallest:.1f} points with 80 % power, and "
        f"{study.smallest:.1f} points with {100 * one.relevant:.0f} %."
    )
