"""``dmlbench info``: one component, recipe or entry in full."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.completion import names
from dmlbench.cli.options import json_option, leaderboards_option, without_option
from dmlbench.plan.identity import BUILT_IN

if TYPE_CHECKING:
    from dmlbench.plan.recipe import Recipe
    from dmlbench.plugins.registry import Registered, Registry


@click.command("info")
@click.argument("name", shell_complete=names)
@leaderboards_option("--out")
@click.option("--plot", metavar="FILE", help="Of an entry: draw training curves and weights.")
@click.option(
    "--map", "map_file", metavar="FILE", help="Of an entry: draw its test embeddings by t-SNE."
)
@click.option(
    "--classes",
    is_flag=True,
    help="Of an entry: its best and worst test classes and the most confused pairs.",
)
@click.option("--csv", "as_csv", is_flag=True, help="With --classes: print all classes as CSV.")
@without_option
@json_option
def info_command(
    name: str,
    leaderboards: Path,
    plot: str | None,
    map_file: str | None,
    classes: bool,
    as_csv: bool,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the loss, combiner, dataset, backbone, recipe or entry NAME.

    An entry is named by its id, at least the first 4 digits of it, or its file.
    """
    from dmlbench.backbones.timm_names import is_timm_model
    from dmlbench.cli.info_entry import EntryViews, show_entry_command
    from dmlbench.cli.info_hints import unknown_name
    from dmlbench.cli.tables import print_text
    from dmlbench.errors import UsageError
    from dmlbench.plan.recipe import load_recipe, recipe_names
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.plugins.registry import KINDS

    views = EntryViews(plot, map_file, classes, as_csv)
    if _is_entry(name):
        show_entry_command(name, leaderboards, views, without, as_json)
        return
    if views.given():
        raise UsageError(
            f"{views.given()[0]} shows an entry; {name!r} is not one. Entries are named by id."
        )
    registry = load_plugins(without)
    found = [item for kind in KINDS for item in registry.find(kind, name)]
    for item in found:
        _show_component(item, registry, as_json)
    if name in recipe_names():
        _show_recipe(load_recipe(name), as_json)
    elif not found and is_timm_model(name) and registry.find("backbones", "dmlbench:timm"):
        if not as_json:
            print_text(f"{name} is a model of timm: --backbone {name} takes it, by way of")
        _show_component(registry.resolve("backbones", "dmlbench:timm"), registry, as_json)
    elif not found:
        raise unknown_name(name, registry)


def _is_entry(name: str) -> bool:
    import re

    entry_id = r"[0-9a-f]{4,16}|[0-9a-f]{16}\.[0-9a-f]{1,8}"
    return name.endswith(".json") or re.fullmatch(entry_id, name) is not None


def _show_component(item: Registered, registry: Registry, as_json: bool) -> None:
    from dmlbench.cli.tables import print_text
    from dmlbench.plugins.docstrings import meanings

    spec = item.spec
    meant = meanings(spec, [other.spec.target for other in registry.components])
    details = {
        "id": item.id,
        "kind": item.kind,
        "version": item.version,
        "aliases": list(spec.aliases),
        "summary": spec.summary,
        "reference": spec.reference,
        "target": spec.target,
        "defaults": dict(spec.defaults),
        "meanings": meant,
        "search": dict(spec.search),
        **{
            extra: getattr(spec, extra)
            for extra in ("family", "heads", "recall_at", "image_size")
            if hasattr(spec, extra)
        },
    }
    if as_json:
        click.echo(json.dumps(details, indent=1))
        return
    print_text(f"{item.id} {item.version}: {spec.summary}")
    for key, value in details.items():
        if key in ("id", "version", "summary", "defaults", "meanings", "search") or not value:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
        print_text(f"  {key.replace('_', ' ')}: {text}")
    _show_parameters(item, meant)


def _show_parameters(item: Registered, meant: dict[str, str]) -> None:
    """Each parameter with its default, what it means and what is tried of it."""
    from dmlbench.cli.tables import print_text
    from dmlbench.plugins.docstrings import tried

    print_text("  parameters:" + ("" if item.spec.defaults else " none"))
    for name, default in item.spec.defaults.items():
        print_text(f"    {name} = {json.dumps(default)}")
        if name in meant:
            print_text(meant[name], indent=" " * 8)
        if tried(item.spec, name):
            print_text(f"`dmlbench tune` tries {tried(item.spec, name)}", indent=" " * 8)
    if set(meant) < set(item.spec.defaults):
        print_text(f"  what they mean: see {_documentation(item)}")


def _documentation(item: Registered) -> str:
    """Where more is said: our page, or the class that is built."""
    if item.distribution == BUILT_IN and item.kind in ("losses", "combiners"):
        return f"docs/{item.kind}/{item.spec.name}.md"
    return f"{item.spec.target} of {item.distribution}"


def _show_recipe(recipe: Recipe, as_json: bool) -> None:
    """The recipe as the TOML file that it could be, or as JSON."""
    from dmlbench.cli.tables import print_text
    from dmlbench.plan.writing import toml_value

    values = recipe.to_json()
    if as_json:
        click.echo(json.dumps(values, indent=1))
        return

    def show(table: dict[str, Any]) -> None:
        for key, value in table.items():
            print_text(f"{key} = {toml_value(value)}")

    show({k: v for k, v in values.items() if not isinstance(v, dict) and k != "augment"})
    for name, table in values.items():
        if isinstance(table, dict):
            print_text(f"\n[{name}]")
            show(table)
    for step in values["augment"]:
        print_text("\n[[augment]]")
        show(step)
