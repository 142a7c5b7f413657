"""``dmlbench run``: train what the plan has left, write entries, show the leaderboard."""

from __future__ import annotations

import sys
from typing import Any

import click

from dmlbench.cli.config_file import config_option
from dmlbench.cli.options import json_option, verbosity_options
from dmlbench.cli.renamed import RenamedOption
from dmlbench.cli.request_options import read_request, request_options
from dmlbench.cli.resources import read_resources, resource_options


@click.command("run")
@config_option
@request_options
@resource_options
@verbosity_options
@click.option(
    "--clustering/--no-clustering",
    default=True,
    show_default=True,
    help="Compute NMI and AMI. With many classes this takes longer than the rest of the "
    "evaluation.",
)
@click.option(
    "--keep-weights/--no-keep-weights",
    default=True,
    show_default=True,
    help="Keep the weights of each trained model, for `dmlbench embed` and `export`.",
)
@click.option("--retry-failed", is_flag=True, help="Train failed trials again.")
@click.option(
    "--name",
    "submitter",
    cls=RenamedOption,
    old_names=["--submitter"],
    metavar="NAME",
    help="Name of who submits the entries.",
)
@click.option("--paper", metavar="URL", help="Address of the paper that the entries belong to.")
@click.option("--code", metavar="URL", help="Address of the code that the entries belong to.")
@json_option
def run_command(as_json: bool, without: tuple[str, ...], **options: Any) -> int:
    """Train losses and their combinations on one backbone, and show the leaderboard.

    Every loss alone and every combiner of all of them is one row. Trials that are already there
    are not repeated; an interrupted run resumes from the last finished epoch.
    """
    from dmlbench.cli.plan import hint_dimensions, warn_unranked
    from dmlbench.cli.progress import watch_run
    from dmlbench.cli.report import show_outcome
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.assemble import Origin
    from dmlbench.running.planning import make_plan
    from dmlbench.running.runner import execute_plan

    origin = Origin(
        submitter=options["submitter"], paper=options.pop("paper"), code=options.pop("code")
    )
    registry = load_plugins(without)
    plan = make_plan(read_request({**options, "without": without}), registry)
    warn_unranked(plan)
    hint_dimensions(plan)
    resources = read_resources(
        options, clustering=options["clustering"], keep_weights=options["keep_weights"]
    )
    if not any(plan.pending(options["retry_failed"])):
        click.echo(
            f"Nothing to train: all {len(plan.trials)} trials are already in {plan.out}. To train "
            f"again, choose another folder with --leaderboards.",
            err=True,
        )
    try:
        with watch_run(plan, options["retry_failed"], options["verbosity"]) as watch:
            outcome = execute_plan(
                plan,
                registry,
                resources,
                without=without,
                retry_failed=options["retry_failed"],
                origin=origin,
                watch=watch,
            )
    except KeyboardInterrupt:
        # Planned again: the trials that finished meanwhile are on disk.
        left = sum(1 for _ in make_plan(read_request(options), registry).pending())
        click.echo(
            f"\nInterrupted; {len(plan.trials) - left} of {len(plan.trials)} trials are done, and "
            f"every finished epoch is kept in {plan.out}. The same command resumes from there:\n"
            f"  dmlbench {' '.join(_quoted(sys.argv[1:]))}",
            err=True,
        )
        return 130
    show_outcome(plan, outcome, registry, as_json)
    return 1 if outcome.failures or outcome.unwritten else 0


def _quoted(arguments: list[str]) -> list[str]:
    import shlex

    return [shlex.quote(argument) for argument in arguments]
