"""``dmlbench study run``: tune and train what a design still lacks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from dmlbench.cli.options import leaderboards_option, verbosity_options, without_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.resources import read_resources, resource_options
from dmlbench.cli.tune import report_epoch, report_trial


@click.command("run")
@click.argument("design", type=PathType(path_type=Path))
@leaderboards_option()
@click.option(
    "--part",
    metavar="K/N",
    default="1/1",
    show_default=True,
    help="Only every N-th row, from the K-th on: for N machines, each with another K.",
)
@without_option
@resource_options
@verbosity_options
@click.option("--retry-failed", is_flag=True, help="Train failed trials again.")
@click.option("--name", "submitter", metavar="NAME", help="Name of who submits the entries.")
def run_command(
    design: Path, leaderboards: Path, part: str, without: tuple[str, ...], **options: Any
) -> int:
    """Tune and train the rows of DESIGN, and write their entries.

    What is there is not repeated: after an interruption the same command resumes. To bring the
    results of several machines together, copy their folders of leaderboards, hidden files
    included, into one and run the command once more there, without --part.
    """
    from dmlbench.cli.progress import watch_run
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.assemble import Origin
    from dmlbench.running.runner import execute_plan
    from dmlbench.study.boards import study_rows
    from dmlbench.study.design import read_study
    from dmlbench.study.train import part_of, plan_rows, tune_rows

    numbers = re.fullmatch(r"(\d{1,4})/(\d{1,4})", part.strip())
    if numbers is None:
        raise click.BadParameter(f"{part!r}: give K/N, such as 2/4.", param_hint="--part")
    study = read_study(design)
    registry = load_plugins(without)
    rows = part_of(study_rows(study, registry, leaderboards), *map(int, numbers.groups()))
    resources = read_resources(options)
    try:
        verbosity = options["verbosity"]
        tune_rows(
            study, rows, registry, resources, without,
            watch=report_trial if verbosity >= 0 else None,
            watch_epochs=report_epoch if verbosity > 0 else None,
        )  # fmt: skip
        failed = False
        for plan in plan_rows(rows, registry):
            with watch_run(plan, options["retry_failed"], verbosity) as watch:
                outcome = execute_plan(
                    plan,
                    registry,
                    resources,
                    without=without,
                    retry_failed=options["retry_failed"],
                    origin=Origin(submitter=options["submitter"], paper=None, code=None),
                    watch=watch,
                )
            for line in (*outcome.notes, *outcome.warnings):
                click.echo(line, err=True)
            for trial, reason in outcome.failures:
                label = trial.configuration.label()
                click.echo(f"Failed: {label}, {trial.title}: {reason}.", err=True)
            for _, reason in outcome.unwritten:
                click.echo(f"No entry: {reason}", err=True)
            failed = failed or bool(outcome.failures or outcome.unwritten)
    except KeyboardInterrupt:
        click.echo("\nInterrupted. The same command resumes.", err=True)
        return 130
    click.echo(f"Entries are in {leaderboards}. `dmlbench study report` answers the questions.")
    return 1 if failed else 0
