"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from dmlbench.cli import completion
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import RenamedOption


def leaderboards_option(*old_names: str) -> Callable[..., Any]:
    """The folder of leaderboards; old_names: the options or position that gave it before."""
    return click.option(
        "--leaderboards",
        cls=RenamedOption,
        old_names=old_names,
        metavar="DIR",
        default="leaderboards",
        show_default=True,
        type=PathType(file_okay=False, path_type=Path),
        help="Folder of the leaderboards.",
    )


unconfined_option = click.option(
    "--unconfined",
    is_flag=True,
    help="Train with network and a writable file system, as `dmlbench run` does.",
)
without_option = click.option(
    "--without",
    metavar="DIST",
    multiple=True,
    shell_complete=completion.distributions,
    help="Leave out the plugins of this distribution. May be repeated.",
)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """One decorator for several options, in the order in which the help lists them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


#: How much a run says on stderr, as `verbosity`: -1, 0 or 1.
verbosity_options = together(
    click.option(
        "-v", "--verbose", "verbosity", flag_value=1, type=int, help="Print a line per epoch."
    ),
    click.option(
        "-q",
        "--quiet",
        "verbosity",
        flag_value=-1,
        type=int,
        default=0,
        help="Show no progress.",
    ),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


#: Which trial of an entry: its seed and class split.
trial_options = together(
    click.option(
        "--seed",
        type=click.IntRange(0),
        help="Seed of the trial.  [default: the first that was completed]",
    ),
    click.option(
        "--split",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="Class split of the trial; 0 is the dataset's own.",
    ),
)


def trained_model_options(out: str) -> Callable[..., Any]:
    """What names a trained model, and the file to write. out: what that file is, for the help."""
    return together(
        click.argument("entry", shell_complete=completion.entries),
        click.option(
            "--out",
            metavar="FILE",
            required=True,
            type=PathType(dir_okay=False, path_type=Path),
            help=out,
        ),
        trial_options,
        leaderboards_option(),
    )
