"""The options that say what is compared, and the request that they spell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli import completion
from dmlbench.cli.options import leaderboards_option, together, without_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import RenamedOption

if TYPE_CHECKING:
    from dmlbench.plan.request import Request

_OLD_BUDGETS = {"fair": "total", "paper": "per-loss"}

_LOSSES = [
    click.option(
        "--losses",
        metavar="LIST",
        shell_complete=completion.components("losses", several=True),
        default="triplet,multi-similarity",
        show_default=True,
        help="Losses, separated by commas, with parameters if wanted: 'triplet(margin=0.1),ms'; "
        "3*ms is three copies.",
    ),
]

_ROWS = [
    click.option(
        "--combiner",
        "--combiners",
        "combiners",
        metavar="LIST",
        shell_complete=completion.components("combiners", several=True),
        help="Combiners of all these losses, separated by commas, or none.  [default: learned, "
        "where there are several losses]",
    ),
    click.option(
        "--singles/--no-singles",
        default=True,
        help="Train each loss alone as well, to compare with.  [default: singles]",
    ),
    click.option(
        "--dim-budget",
        cls=RenamedOption,
        old_names=["--width"],
        old_values=_OLD_BUDGETS,
        type=click.Choice(["total", "per-loss"]),
        help="total: an ensemble's embedding has the same dimension as a single loss's. per-loss: "
        "M times larger, ranked with rows of that dimension.  [default: total]",
    ),
]

_REPEATED = [
    click.option(
        "--refit",
        is_flag=True,
        help="Once the epoch is chosen on held-out training classes, train again on all training "
        "classes for as many epochs, and test that; ranked separately.",
    ),
    click.option(
        "--tuned",
        is_flag=True,
        help="Use the parameters found by `dmlbench tune`, except those set here.",
    ),
    click.option(
        "--seeds",
        metavar="N|LIST",
        default="5",
        show_default=True,
        help="How many seeds (5 means 0 to 4), or which (0,1,7; with a gap: not ranked).",
    ),
    click.option(
        "--splits",
        metavar="N|LIST",
        default="1",
        show_default=True,
        help="How many class splits, each with every seed, or which. 0 is the dataset's own, 1, 2, "
        "... are random halves of all its classes.",
    ),
]

_SETTINGS = [
    click.option(
        "--dataset",
        metavar="NAME",
        shell_complete=completion.components("datasets"),
        default="glyphs",
        show_default=True,
        help="Dataset, with parameters if wanted: 'folder(root=photos)'.",
    ),
    click.option(
        "--backbone",
        metavar="NAME",
        shell_complete=completion.components("backbones"),
        help="A plugin's backbone, or any timm model, such as resnet50.  [default: the recipe's]",
    ),
    click.option(
        "--pretrained/--no-pretrained",
        default=None,
        help="Start from pretrained weights, or from scratch.  [default: as the recipe says]",
    ),
    click.option(
        "--weights",
        metavar="FILE",
        type=PathType(exists=True, dir_okay=False),
        help="Start the backbone from this file: safetensors, or a state dict.",
    ),
    click.option(
        "--recipe",
        metavar="NAME|FILE",
        shell_complete=completion.recipes,
        default="quick",
        show_default=True,
        help="How to train: a packaged recipe or a TOML file.",
    ),
    click.option(
        "--set",
        "assignments",
        cls=RenamedOption,
        old_values={
            f"protocol.width={old}": f"protocol.dim_budget={new}"
            for old, new in _OLD_BUDGETS.items()
        },
        metavar="KEY=VALUE",
        multiple=True,
        help="Override a value of recipe or protocol: recipe.epochs=4. May be repeated.",
    ),
    leaderboards_option("--out"),
    without_option,
]

#: The options that say what is compared, the same for run and plan.
request_options = together(*_LOSSES, *_ROWS, *_REPEATED, *_SETTINGS)
#: Those of `request_options` that say which configurations, not how often they are trained.
tuning_options = together(*_LOSSES, *_ROWS, *_SETTINGS)


def read_request(values: dict[str, Any]) -> Request:
    """The request that the options spell."""
    from dmlbench.errors import UsageError
    from dmlbench.plan.expressions import parse_assignment, split_list
    from dmlbench.plan.request import Request

    overrides = dict(parse_assignment(text) for text in values["assignments"])
    budget = values["dim_budget"]
    if budget is not None:
        given = overrides.setdefault("protocol.dim_budget", budget)
        if given != budget:
            raise UsageError(
                f"--dim-budget {budget} and --set protocol.dim_budget={given} differ; give one."
            )
    if values["refit"]:
        given = overrides.setdefault("protocol.refit", True)
        if given is not True:
            raise UsageError("--refit and --set protocol.refit=false differ; give one.")
    return Request(
        losses=split_list(values["losses"]),
        combiners=_combiners(values["combiners"]),
        dataset=values["dataset"],
        backbone=values["backbone"],
        pretrained=values["pretrained"],
        weights=Path(values["weights"]) if values["weights"] else None,
        recipe=values["recipe"],
        seeds=read_seeds(values["seeds"]),
        splits=read_splits(values["splits"]),
        overrides=overrides,
        singles=values["singles"],
        tuned=values["tuned"],
        out=values["leaderboards"],
    )


def _combiners(text: str | None) -> list[str] | None:
    if text is None:
        return None
    from dmlbench.errors import UsageError
    from dmlbench.plan.expressions import split_list

    names = split_list(text)
    if "none" not in names:
        return names
    if len(names) > 1:
        raise UsageError(
            f"--combiner {text}: none must be the only one. Each loss alone is trained beside the "
            f"combiners anyway (--no-singles leaves it out)."
        )
    return []


def read_seeds(text: str) -> int | list[int]:
    """How many seeds, or which: ``5`` or ``0,1,7``. Raises `UsageError` for anything else."""
    return _read_numbers(text, "seeds")


def read_splits(text: str) -> int | list[int]:
    """How many class splits, or which, as `read_seeds`."""
    return _read_numbers(text, "splits")


def _read_numbers(text: str, what: str) -> int | list[int]:
    from dmlbench.errors import UsageError

    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError as error:
        raise UsageError(
            f"--{what} {text!r} must be a number of {what} (5) or a list of them (0,1,7 or 3,)."
        ) from error
    return numbers[0] if len(numbers) == 1 and "," not in text else numbers
