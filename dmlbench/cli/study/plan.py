"""``dmlbench study plan``: what a design trains, what is done, and what it could see."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.options import json_option, leaderboards_option, without_option

if TYPE_CHECKING:
    from dmlbench.leaderboard.entries.entry import Entry
    from dmlbench.study.boards import StudyRow
    from dmlbench.study.design import Study


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
    listed = []
    for row in {(row.dataset, row.name): row for row in rows}.values():
        entries = found.entries.get(row.dataset, {}).get(row.name, [])
        planned = set(study.keys(row.dataset))
        done = planned & set(found.values.get(row.dataset, {}).get(row.name, {}))
        replicates = study.datasets[row.dataset].replicates or 1
        listed.append(
            {
                "row": row.name,
                "dataset": row.dataset,
                "configuration": row.setting.configuration.label(),
                "tuning_trials": replicates * study.budget if row.tuned else 0,
                "entry_ids": [entry.entry_id for entry in entries],
                "trials_done": len(done),
                "trials": len(planned),
                "cpu_seconds": _seconds(entries),
            }
        )
    if as_json:
        click.echo(json.dumps({"rows": listed, "precision": [asdict(one) for one in seen]}))
        return
    print_text(f"{study.title}: {len(listed)} rows. SHA-256 of the design: {study.sha256}")
    print_table(
        ["Row", "Dataset", "Configuration", "Tuning trials", "Trials", "Entries"],
        [
            [
                one["row"],
                one["dataset"],
                one["configuration"],
                str(one["tuning_trials"] or "none"),
                f"{one['trials_done']}/{one['trials']}",
                " ".join(entry_id[:6] for entry_id in one["entry_ids"][:3]),
            ]
            for one in listed
        ],
    )
    print_text(_left(study, rows, listed))
    for one in seen:
        print_text(_precision(study, one))


def _seconds(entries: Sequence[Entry]) -> float | None:
    seconds = [trial.cost.process_seconds for entry in entries for trial in entry.completed]
    known = [value for value in seconds if value is not None]
    return sum(known) / len(known) if known else None


def _left(study: Study, rows: Sequence[StudyRow], listed: Sequence[dict[str, Any]]) -> str:
    """How much is left, by what a trial of the rows that are there costs."""
    done = {(one["dataset"], one["row"]): one["trials_done"] for one in listed}
    # A row that several datasets of the design share is trained once.
    trials = {row.setting.sha256: 0 for row in rows}
    tuning = dict(trials)
    for row in rows:
        replicates = study.datasets[row.dataset].replicates or 1
        each = len(study.keys(row.dataset)) // replicates
        left = max(0, each - done[row.dataset, row.name] // replicates)
        key = row.setting.sha256 if row.tuned else row.setting.configuration.entry_id
        trials[key] = max(trials.get(key, 0), left)
        tuning[key] = study.budget if row.tuned and left == each else 0
    count, tries = sum(trials.values()), sum(tuning.values())
    text = f"Left, about: {count} trials and {tries} tuning trials"
    known = [one["cpu_seconds"] for one in listed if one["cpu_seconds"] is not None]
    if not known:
        return f"{text}."
    mean = sum(known) / len(known)
    return f"{text}, {(count + tries) * mean / 3600:.1f} processor hours at {mean:.0f} s each."


def _precision(study: Any, one: Any) -> str:
    between, within = one.components
    spread = f"within one {within:.1f}"
    if not math.isnan(between):
        spread = f"between replicates or splits {between:.1f}, {spread}"
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
