"""``dmlbench study report``: a design's answers, computed from leaderboards."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option, leaderboards_option, without_option
from dmlbench.cli.paths import PathType


@click.command("report")
@click.argument("design", type=PathType(path_type=Path))
@leaderboards_option()
@click.option(
    "--figures",
    metavar="DIR",
    type=PathType(path_type=Path, file_okay=False, exists=True),
    help="Draw the figures as PNG into this folder.",
)
@without_option
@json_option
def report_command(
    design: Path, leaderboards: Path, figures: Path | None, without: tuple[str, ...], as_json: bool
) -> None:
    """Answer the questions of DESIGN from the leaderboards, as Markdown.

    Contrasts whose trials are not all there are not answered. Nothing is trained.
    """
    from dmlbench.leaderboard.views.terminal import stdout_console, writable
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.study.analysis import analyse
    from dmlbench.study.boards import find_in
    from dmlbench.study.design import read_study
    from dmlbench.study.figures import plot_findings
    from dmlbench.study.report import render_markdown, report_json

    study = read_study(design)
    found = find_in(study, load_plugins(without), leaderboards)
    findings = analyse(study, found.values)
    if figures is not None:
        for file in plot_findings(study, found, findings, figures):
            click.echo(f"Wrote {file}.", err=True)
    if as_json:
        click.echo(json.dumps(report_json(study, found, findings), indent=1))
        return
    click.echo(writable(render_markdown(study, found, findings), stdout_console()), nl=False)
