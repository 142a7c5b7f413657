"""``dmlbench info``: one component, recipe or entry in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from dmlbench.cli.options import json_option, out_option, without_option


@click.command("info")
@click.argument("name")
@out_option
@click.option("--plot", metavar="FILE", help="Of an entry: draw training curves and weights.")
@without_option
@json_option
def info_command(
    name: str, out: Path, plot: str | None, without: tuple[str, ...], as_json: bool
) -> None:
    """Show the loss, combiner, dataset, backbone, recipe or entry NAME.

    An entry is named by its id, the beginning of it, or its file.
    """
    from dmlbench.errors import UsageError
    from dmlbench.plugins import load_plugins
    from dmlbench.recipe import load_recipe, recipe_names

    if _is_entry(name):
        _show_entry(name, out, plot, as_json)
        return
    if plot:
        raise UsageError(f"--plot draws an entry; {name!r} is none. Entries are named by id.")
    registry = load_plugins(without)
    found = [item for kind in _kinds() for item in registry.find(kind, name)]
    for item in found:
        _show_component(item, as_json)
    if name in recipe_names():
        click.echo(json.dumps(load_recipe(name).to_json(), indent=1))
    elif not found:
        # The losses' error has the closest names; the other kinds are a `list` away.
        registry.resolve("losses", name)


def _kinds() -> list[str]:
    from dmlbench.registry import KINDS

    return list(KINDS)


def _is_entry(name: str) -> bool:
    import re

    entry_id = r"[0-9a-f]{4,16}|[0-9a-f]{16}\.[0-9a-f]{1,8}"
    return name.endswith(".json") or re.fullmatch(entry_id, name) is not None


def _show_entry(name: str, out: Path, plot: str | None, as_json: bool) -> None:
    from dmlbench.leaderboard.store import find_entry

    entry = find_entry(out, name)
    if plot:
        from dmlbench.leaderboard.plot import plot_entry

        plot_entry(entry, plot)
        click.echo(f"Drew {plot}.", err=True)
    if as_json:
        click.echo(entry.to_text(), nl=False)
    elif not plot:
        from rich.console import Console

        from dmlbench.leaderboard.describe import show_entry

        show_entry(entry, Console())


def _show_component(item: Any, as_json: bool) -> None:
    spec = item.spec
    details = {
        "id": item.id,
        "kind": item.kind,
        "version": item.version,
        "aliases": list(spec.aliases),
        "summary": spec.summary,
        "reference": spec.reference,
        "target": spec.target,
        "defaults": dict(spec.defaults),
        **{
            extra: getattr(spec, extra)
            for extra in ("family", "heads", "recall_at", "image_size")
            if hasattr(spec, extra)
        },
    }
    if as_json:
        click.echo(json.dumps(details, indent=1))
        return
    click.echo(f"{item.id} {item.version}: {spec.summary}")
    for key, value in details.items():
        if key in ("id", "version", "summary", "defaults") or not value:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        click.echo(f"  {key.replace('_', ' ')}: {text}")
    click.echo("  parameters:" + ("" if spec.defaults else " none"))
    for key, value in spec.defaults.items():
        click.echo(f"    {key} = {json.dumps(value)}")
