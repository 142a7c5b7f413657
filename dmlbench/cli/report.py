"""What a run shows at its end: the table on stdout, what went wrong on stderr."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dmlbench.plugins.registry import Registry
    from dmlbench.running.planning import Plan, PlannedTrial
    from dmlbench.running.runner import RunOutcome


def show_outcome(plan: Plan, outcome: RunOutcome, registry: Registry, as_json: bool) -> None:
    """Print the rows of this run as a leaderboard, or as JSON, and say where the entries are."""
    from dmlbench.leaderboard.comparison.table import leaderboard_frame
    from dmlbench.leaderboard.comparison.verdict import verdicts
    from dmlbench.leaderboard.entries.metrics import DEFAULT_METRIC
    from dmlbench.leaderboard.verification.tiers import Tiers
    from dmlbench.leaderboard.views.export import render_json
    from dmlbench.leaderboard.views.render import render_rich, stdout_console
    from dmlbench.plan.labels import label

    for line in (*outcome.notes, *outcome.warnings):
        click.echo(line, err=True)
    for trial, reason in outcome.failures:
        click.echo(
            f"Failed: {label(trial.configuration, registry)}, {trial.title}: {reason}. "
            f"Its log: {trial.folder.log_file}. {_what_next(trial, outcome)}",
            err=True,
        )
    for _, reason in outcome.unwritten:
        click.echo(f"No entry: {reason}", err=True)
    if not outcome.entries:
        if as_json:
            click.echo(json.dumps([]))
        return
    verification = Tiers(plan.out).verification
    frame = leaderboard_frame(outcome.entries, verification=verification)
    found = verdicts(outcome.entries, verification=verification)
    if as_json:
        click.echo(render_json(frame, found, DEFAULT_METRIC))
        return
    render_rich(frame, found, stdout_console())
    protocol, dataset = plan.configurations[0].protocol.name, plan.configurations[0].dataset.name
    place = (
        "" if plan.out == Path("leaderboards") else f" --leaderboards {shlex.quote(str(plan.out))}"
    )
    click.echo(
        f"\nEntries are in {plan.out / protocol / dataset}. "
        f"`dmlbench leaderboard show{place}` ranks all that are there."
    )


def _what_next(trial: PlannedTrial, outcome: RunOutcome) -> str:
    """How a failed trial is tried again: a result, of NaN as of any other kind, is kept."""
    recorded = {(entry.entry_id, t.key) for entry in outcome.entries for t in entry.trials}
    key = (trial.configuration.entry_id, trial.key)
    if key in recorded or trial.folder.read_result() is not None:
        return "To try again: --retry-failed."
    return "It left no result: the next run trains it again."
