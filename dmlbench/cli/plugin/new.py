"""``dmlbench plugin new``: the package of a new plugin, ready to be filled in."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option
from dmlbench.plugins.scaffold_kinds import SCAFFOLD_KINDS


@click.command("new")
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice([*SCAFFOLD_KINDS]),
    default="loss",
    show_default=True,
    help="What the plugin offers.",
)
@click.option("--distribution", metavar="DIST", help="What pip calls it.  [default: dmlbench-NAME]")
@click.option(
    "--to", "folder", metavar="DIR", help="Folder to write.  [default: the distribution's name]"
)
@json_option
def new_command(
    name: str, kind: str, distribution: str | None, folder: str | None, as_json: bool
) -> None:
    """Create a plugin package for NAME, with a working example and passing tests.

    Nothing is overwritten.
    """
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.plugins.registry import KINDS
    from dmlbench.plugins.scaffold import NewPlugin, write_plugin

    plugin = NewPlugin(name, distribution or f"dmlbench-{name}", kind)
    target = Path(folder or plugin.distribution)
    written = write_plugin(plugin, target)
    registry = load_plugins()
    found = [item for plural in KINDS for item in registry.find(plural, name)]
    others = [item for item in found if item.distribution != plugin.distribution]
    if kind == "tracker":
        others = []  # nothing is called by a tracker's name
    for other in others:
        click.echo(
            f"{other.distribution} has a {KINDS[other.kind]} {name} as well: with both installed, "
            f"say {plugin.distribution}:{name}.",
            err=True,
        )
    if as_json:
        click.echo(
            json.dumps(
                {
                    "name": plugin.name,
                    "kind": plugin.kind,
                    "distribution": plugin.distribution,
                    "folder": str(target),
                    "files": [str(file.relative_to(target)) for file in written],
                },
                indent=1,
            )
        )
        return
    click.echo(f"Wrote {target}:")
    for file in written:
        click.echo(f"  {file.relative_to(target)}")
    about = "." if kind == "tracker" else ", its source and its defaults into plugin.py beside it."
    click.echo(f"\nYour {kind} goes into {target / plugin.module}{about}\nNext:")
    click.echo(f"  pip install -e '{target}[test]' && pytest {target}")
    for command in plugin.commands(ambiguous=bool(others)):
        click.echo(f"  {command}")
