"""``dmlbench plugin new``: the package of a new loss, ready to be filled in."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option


@click.command("new")
@click.argument("name")
@click.option("--distribution", metavar="DIST", help="What pip calls it.  [default: dmlbench-NAME]")
@click.option(
    "--to", "folder", metavar="DIR", help="Folder to write.  [default: the distribution's name]"
)
@json_option
def new_command(name: str, distribution: str | None, folder: str | None, as_json: bool) -> None:
    """Create a plugin package for the loss NAME, with a working example and passing tests.

    Nothing is overwritten.
    """
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.plugins.registry import KINDS
    from dmlbench.plugins.scaffold import NewPlugin, write_plugin

    plugin = NewPlugin(name, distribution or f"dmlbench-{name}")
    target = Path(folder or plugin.distribution)
    written = write_plugin(plugin, target)
    registry = load_plugins()
    found = [item for kind in KINDS for item in registry.find(kind, name)]
    others = [item for item in found if item.distribution != plugin.distribution]
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
                    "loss": plugin.loss,
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
    said = f"{plugin.distribution}:{name}" if others else name
    click.echo(
        f"\nYour loss goes into {target / plugin.package / 'loss.py'}, its paper and its defaults "
        f"into plugin.py beside it.\nNext:\n"
        f"  pip install -e '{target}[test]' && pytest {target}\n"
        f"  dmlbench plugin check {said}\n"
        f"  dmlbench run --losses {said},{plugin.partner}"
    )
