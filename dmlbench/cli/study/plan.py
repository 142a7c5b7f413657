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
from dmlbench.cli.paths import PathType

if TYPE_CHECKING:
    from dmlbench.leaderboard.entries.entry import Entry
    from dmlbench.study.boards import StudyRow
    from dmlbench.study.design import Study
    from dmlbench.study.precision import Precision

_PIECE = 2 * 3600.0


@click.command("plan")
@click.argument("design", type=PathType(path_type=Path))
@leaderboards_option()
@click.option(
    "--pilot",
    metavar="DESIGN",
    type=PathType(path_type=Path),
    help="Take variances and costs from the trials of this design instead.",
)
@without_option
@json_option
def plan_command(
    design: Path, leaderboards: Path, pilot: Path | None, without: tuple[str, ...], as_json: bool
) -> None:
    """Show the rows of DESIGN, which trials are done, and the differences it could see.

    The last come from the variances of the trials in the leaderboards: its own, or those of a
    pilot, a small design whose contrasts have the same names.
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
    piloted = None if pilot is None else read_study(pilot)
    known = found if piloted is None else find_in(piloted, registry, leaderboards)
    seen = precision(study, known.values, piloted)
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
                "cpu_seconds_per_epoch": _seconds(
                    known.entries.get(row.dataset, {}).get(row.name, [])
                ),
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
    """Processor time of an epoch, the mean over trials: a pilot may have fewer epochs."""
    seconds = [
        trial.cost.process_seconds / len(trial.history)
        for entry in entries
        for trial in entry.completed
        if trial.cost.process_seconds is not None and trial.history
    ]
    return sum(seconds) / len(seconds) if seconds else None


def _left(study: Study, rows: Sequence[StudyRow], listed: Sequence[dict[str, Any]]) -> str:
    """How much is left, by what a trial of the rows that are there costs."""
    done = {(one["dataset"], one["row"]): one["trials_done"] for one in listed}
    costs = {(one["dataset"], one["row"]): one["cpu_seconds_per_epoch"] for one in listed}
    measured = [cost for cost in costs.values() if cost is not None]
    mean = sum(measured) / len(measured) if measured else 0.0
    # A row that several datasets of the design share is trained once.
    trials: dict[str, tuple[int, int, float]] = {}
    for row in rows:
        replicates = study.datasets[row.dataset].replicates or 1
        each = len(study.keys(row.dataset)) // replicates
        left = max(0, each - done[row.dataset, row.name] // replicates)
        tuning = study.budget if row.tuned and left == each else 0
        epochs = row.setting.configuration.recipe.epochs
        cost = epochs * (costs[row.dataset, row.name] or mean)
        key = row.setting.sha256 if row.tuned else row.setting.configuration.entry_id
        trials[key] = max(trials.get(key, (0, 0, 0.0)), (left, tuning, (left + tuning) * cost))
    count, tuning = (sum(one[i] for one in trials.values()) for i in (0, 1))
    if not count:
        return "Nothing is left to train."
    text = f"Left, about: {count} trials and {tuning} tuning trials"
    if not measured:
        return f"{text}."
    seconds = sum(one[2] for one in trials.values())
    longest = max(one[2] for one in trials.values())
    pieces = math.ceil(seconds / max(_PIECE - longest, longest, 1.0))
    return (
        f"{text}, {seconds / 3600:.1f} processor hours, at most {longest / 60:.0f} minutes of them "
        f"for one row (from {len(measured)} rows with a known cost: {mean:.1f} s for each epoch "
        f"of a trial). In pieces of at most an hour of two cores: --part 1/{pieces} to --part "
        f"{pieces}/{pieces}."
    )


def _precision(study: Study, one: Precision) -> str:
    spread = one.spread
    source = f"{one.trials} trials of each row"
    if one.components is not None:
        between, within = one.components
        parts = [] if math.isnan(between) else [f"between replicates or splits {between:.1f}"]
        source = f"{', '.join([*parts, f'within one {within:.1f}'])}; {one.trials} pairs"
    text = (
        f"{one.name} on {one.dataset}: a unit's difference has a standard deviation of "
        f"{spread.value:.1f} points, 90 % interval {spread.low:.1f} to "
        f"{spread.high:.1f} ({source}, {spread.freedom:.0f} degrees of freedom)"
    )
    if one.smallest is None or one.relevant is None:
        return f"{text}; too few units to test."
    found, power = one.smallest, one.relevant
    return (
        f"{text}; the design finds {found.value:.1f} points ({found.low:.1f} to {found.high:.1f}) "
        f"with 80 % power, and {study.smallest:.1f} points with {100 * power.value:.0f} % "
        f"({100 * power.low:.0f} to {100 * power.high:.0f})."
    )
