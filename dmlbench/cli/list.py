"""``dmlbench list``: what is there to choose from."""

from __future__ import annotations

import json

import click

from dmlbench.cli.options import json_option, without_option

_KINDS = ("losses", "combiners", "datasets", "backbones", "recipes")


class _Kind(click.Choice):
    """A kind, in the singular too."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        singulars = {"loss": "losses"} | {kind.removesuffix("s"): kind for kind in _KINDS[1:]}
        return super().convert(singulars.get(value, value), param, ctx)


@click.command("list")
@click.argument("kind", type=_Kind(_KINDS), required=False)
@without_option
@json_option
def list_command(kind: str | None, without: tuple[str, ...], as_json: bool) -> None:
    """List losses, combiners, datasets, backbones or recipes, with where they come from.

    Without a kind, the names of all of them.
    """
    from dmlbench.cli.tables import print_table
    from dmlbench.plan.recipe import load_recipe, recipe_names
    from dmlbench.plugins.loading import load_plugins

    if kind is None:
        _list_names(without, as_json)
        return
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


def _list_names(without: tuple[str, ...], as_json: bool) -> None:
    """The names of every kind."""
    from dmlbench.cli.tables import print_text
    from dmlbench.plan.recipe import recipe_names
    from dmlbench.plugins.loading import load_plugins

    registry = load_plugins(without)
    names = {
        kind: list(recipe_names())
        if kind == "recipes"
        else [item.spec.name for item in registry.of_kind(kind)]
        for kind in _KINDS
    }
    if as_json:
        click.echo(json.dumps(names, indent=1))
        return
    for kind, found in names.items():
        print_text(", ".join(found), indent=f"{kind}: ")
