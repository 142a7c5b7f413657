"""``dmlbench study``: a design that is written before the runs, a file a command."""

from __future__ import annotations

import click

from dmlbench.cli.lazy import LazyGroup

COMMANDS = {
    "plan": "Show what a design trains, what is done, and what it could see.",
    "run": "Tune and train what a design still lacks.",
    "report": "Compute a design's answers from leaderboards.",
}


@click.group("study", cls=LazyGroup, package=__name__, lazy=COMMANDS)
def study_command() -> None:
    """Run and evaluate studies whose design is written down before the runs."""
