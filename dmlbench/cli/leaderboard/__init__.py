"""``dmlbench leaderboard``: what is done with results that are there, a file a command."""

from __future__ import annotations

import click

from dmlbench.cli.lazy import LazyGroup

COMMANDS = {
    "show": "Rank entries in tables, and say what beats what.",
    "add": "Add entries from elsewhere, after checking them.",
    "compare": "Say what can be concluded about two entries.",
    "verify": "Check that entries are consistent, and recompute their metrics.",
    "bundle": "Write one archive of all test embeddings.",
    "audit": "Train a few drawn trials of entries again.",
    "site": "Write pages that open without a server.",
}


@click.group("leaderboard", cls=LazyGroup, package=__name__, lazy=COMMANDS)
def leaderboard_command() -> None:
    """Compare the entries of leaderboards."""
