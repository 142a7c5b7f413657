"""``dmlbench plugin``: what is installed, and what authors of plugins need, a file per command."""

from __future__ import annotations

import click

from dmlbench.cli.lazy import LazyGroup

COMMANDS = {
    "list": "List the installed plugins, broken ones included.",
    "new": "Create the package of a new plugin.",
    "check": "Check that a loss, a combiner or a plugin keeps the contract.",
}


@click.group("plugin", cls=LazyGroup, package=__name__, lazy=COMMANDS)
def plugin_command() -> None:
    """List plugins, create one, or check one."""
