"""``dmlbench plugin list``: every installed plugin and its state."""

from __future__ import annotations

import dataclasses
import json

import click

from dmlbench.cli.options import json_option, without_option


@click.command("list")
@without_option
@json_option
def list_command(without: tuple[str, ...], as_json: bool) -> int:
    """List the installed plugins with distribution and version, broken ones with the reason.

    Exits with 3 where a plugin is broken.
    """
    from dmlbench.cli.tables import print_table
    from dmlbench.plugins.loading import load_plugins

    records = load_plugins(without).plugins
    if as_json:
        rows = [{**dataclasses.asdict(r), "offers": dict(r.offers)} for r in records]
        click.echo(json.dumps(rows, indent=1))
    else:
        print_table(
            ["Distribution", "Version", "Plugin", "Status", "Offers"],
            [
                [
                    record.distribution,
                    record.version,
                    record.entry_point,
                    record.status,
                    record.reason
                    or ", ".join(f"{len(names)} {kind}" for kind, names in record.offers),
                ]
                for record in records
            ],
        )
    return 3 if any(record.status == "broken" for record in records) else 0
