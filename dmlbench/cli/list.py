"""``dmlbench list``: what is there to choose from."""

from __future__ import annotations

import json

import click

from dmlbench.cli.options import json_option, without_option

_KINDS = ("losses", "combiners", "datasets", "backbones", "recipes")


@click.command("list")
@click.argument("kind", type=click.Choice(_KINDS))
@without_option
@json_option
def list_command(kind: str, without: tuple[str, ...], as_json: bool) -> None:
    """List losses, combiners, datasets, backbones or recipes, with where they come from."""
    from dmlbench.cli.tables import print_table
    from dmlbench.plan.recipe import load_recipe, recipe_names
    from dmlbench.plugins.loading import load_plugins

    if kind == "recipes":
        recipes = [load_recipe(name) for name in recipe_names()]
        if as_json:
            click.echo(json.dumps([recipe.to_json() for recipe in recipes], indent=1))
        else:
            print_table(["Recipe", "Summary"], [[r.name, r.summary] for r in recipes])
        return
    registry = load_plugins(without)
    items = registry.of_kind(kind)
    if as_json:
        rows = [
            {
                "id": item.id,
                "name": item.spec.name,
                "aliases": list(item.spec.aliases),
                "distribution": item.distribution,
                "version": item.version,
                "summary": item.spec.summary,
                "reference": item.spec.reference,
                "defaults": dict(item.spec.defaults),
            }
            for item in items
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    print_table(
        ["Name", "From", "Summary"],
        [
            [
                ", ".join((item.spec.name, *item.spec.aliases)),
                f"{item.distribution} {item.version}",
                item.spec.summary,
            ]
            for item in items
        ],
    )
    if kind == "backbones":
        click.echo("Any other name is taken for a timm model: --backbone resnet50.")
    for record in registry.plugins:
        if record.status == "broken":
            click.echo(
                f"Broken plugin {record.distribution} {record.version}: {record.reason}", err=True
            )
