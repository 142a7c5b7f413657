"""The options that choose rows of a leaderboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli import completion
from dmlbench.cli.options import together

if TYPE_CHECKING:
    from dmlbench.leaderboard.listing.filters import Filters

#: `dmlbench.leaderboard.verification.tiers.TIERS`, without importing what verifies.
_TIERS = ("unverified", "checked", "recomputed", "audited", "reproduced", "confirmed")


#: The options that `read_filters` reads.
filter_options = together(
    click.option(
        "--dataset",
        metavar="NAME",
        help="Only this dataset.",
        shell_complete=completion.components("datasets"),
    ),
    click.option(
        "--loss",
        "losses",
        metavar="NAME",
        multiple=True,
        help="Only rows with this loss, alone or combined. May be repeated: rows with all.",
        shell_complete=completion.components("losses"),
    ),
    click.option(
        "--combiner",
        metavar="NAME",
        help="Only rows of this combiner, or none: single losses.",
        shell_complete=completion.components("combiners"),
    ),
    click.option(
        "--backbone",
        metavar="NAME",
        help="Only this backbone.",
        shell_complete=completion.components("backbones"),
    ),
    click.option(
        "--recipe",
        metavar="NAME",
        help="Only this recipe, whatever was changed in it.",
        shell_complete=completion.recipes,
    ),
    click.option("--protocol", metavar="NAME", help="Only this protocol."),
    click.option("--tier", type=click.Choice(_TIERS), help="Only rows of this tier."),
    click.option(
        "--top",
        type=click.IntRange(1),
        metavar="N",
        help="Only the first N rows of each table.",
    ),
)


def read_filters(values: Mapping[str, Any]) -> Filters:
    """The filters that the options spell, aliases of components as their names."""
    from dmlbench.leaderboard.listing.filters import Filters

    return Filters(
        losses=tuple(_name("losses", name) for name in values["losses"]),
        combiner=_name("combiners", values["combiner"]),
        dataset=_name("datasets", values["dataset"]),
        backbone=_name("backbones", values["backbone"]),
        recipe=values["recipe"],
        protocol=values["protocol"],
        tier=values["tier"],
        top=values["top"],
    )


def _name(kind: str, typed: str | None) -> str | None:
    """The name of a component for an alias; whatever else was typed, as it is."""
    if typed is None:
        return None
    from dmlbench.plugins.loading import load_plugins

    found = load_plugins().find(kind, typed)
    if ":" in typed or len({item.spec.name for item in found}) != 1:
        return typed
    return str(found[0].spec.name)
