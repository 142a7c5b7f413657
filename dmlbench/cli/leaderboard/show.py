"""``dmlbench leaderboard show``: the entries of a folder, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dmlbench.cli.options import leaderboards_option
from dmlbench.cli.renamed import former_argument

if TYPE_CHECKING:
    from dmlbench.leaderboard.entries.entry import Entry


@click.command("show")
@former_argument("FOLDER")
@leaderboards_option("FOLDER")
@click.option("--by", default="map_at_r", metavar="METRIC", help="Rank by this metric (MAP@R).")
@click.option("--metrics", default="", metavar="A,B", help="Metric columns to show.")
@click.option("--dataset", metavar="NAME", help="Only this dataset.")
@click.option("--json", "as_json", is_flag=True, help="All columns and verdicts as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="All columns as CSV, metrics as fractions.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Tables and verdicts as Markdown.")
@click.option("--latex", "as_latex", is_flag=True, help="Tables for LaTeX, with booktabs.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw a PNG, SVG or PDF."
)
@click.option(
    "--over-datasets",
    is_flag=True,
    help="One row per configuration over all datasets; a mean only if none is missing.",
)
@click.option("--explain", is_flag=True, help="Explain the columns, and show every note.")
def show_command(
    leaderboards: Path,
    by: str,
    metrics: str,
    dataset: str | None,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    as_latex: bool,
    plot: Path | None,
    over_datasets: bool,
    explain: bool,
) -> None:
    """Show leaderboards: all of a folder, those of one protocol in it, or of a single dataset.

    Rows are compared within one dataset, backbone, recipe, protocol and embedding dimension.
    Below each table, a sentence says whether each combination beats its best single loss.
    Published results are listed separately, unranked, with their source. With --markdown the
    tables follow the text of the folder's `_about.md`, if there is one.
    """
    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.comparison.table import leaderboard_frame
    from dmlbench.leaderboard.comparison.verdict import verdicts
    from dmlbench.leaderboard.entries.published_store import read_all_published
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.entries.store import ABOUT, about, read_leaderboards
    from dmlbench.leaderboard.verification.tiers import Tiers
    from dmlbench.leaderboard.views.export import render_csv, render_json, render_markdown
    from dmlbench.leaderboard.views.latex import render_latex
    from dmlbench.leaderboard.views.render import render_rich, stdout_console

    chosen = {"json": as_json, "csv": as_csv, "markdown": as_markdown, "latex": as_latex}
    forms = [name for name, on in chosen.items() if on]
    if len(forms) > 1:
        raise UsageError(f"{' and '.join(f'--{name}' for name in forms)} are both given; take one.")
    form = forms[0] if forms else None
    if explain and form in ("json", "csv", "latex"):
        raise UsageError(f"--explain adds text below tables; --{form} has none. Drop one of them.")
    published, refused = read_all_published(leaderboards, dataset)
    introduced = (leaderboards / ABOUT).exists()  # a leaderboard that is still to be filled
    entries, problems = read_leaderboards(
        leaderboards, dataset, even_empty=bool(published) or introduced
    )
    for problem in [*problems, *refused]:
        click.echo(f"Refused: {plain(problem, 500)}", err=True)
    if not entries and not published:
        click.echo(f"{plain(str(leaderboards), 500)} has no entry yet.", err=True)
    if over_datasets:
        _show_summary(entries, by, form, plot, explain)
        return
    columns = [name for name in metrics.split(",") if name.strip()]
    verification = Tiers(leaderboards).verification
    frame = leaderboard_frame(entries, by, verification, published)
    found = verdicts(entries, by, verification)
    if plot is not None:
        from dmlbench.leaderboard.views.plot import plot_leaderboard

        plot_leaderboard(frame[frame["source"].isna()], plot, by)
        click.echo(f"Drawn: {plot}", err=True)
    if form == "json":
        click.echo(render_json(frame, found, by))
    elif form == "csv":
        click.echo(render_csv(frame), nl=False)
    elif form == "markdown":
        click.echo(
            about(leaderboards) + render_markdown(frame, found, by, columns, explain), nl=False
        )
    elif form == "latex":
        click.echo(render_latex(frame, by, columns), nl=False)
    else:
        render_rich(frame, found, stdout_console(), by, columns, explain)


def _show_summary(
    entries: list[Entry], by: str, form: str | None, plot: Path | None, explain: bool
) -> None:
    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.comparison.summary import summarise
    from dmlbench.leaderboard.views import summary_render
    from dmlbench.leaderboard.views.terminal import stdout_console

    if plot is not None:
        raise UsageError("--plot draws leaderboards of single datasets; drop --over-datasets.")
    if form == "latex":
        raise UsageError("--latex shows leaderboards of single datasets; drop --over-datasets.")
    summary = summarise(entries, by)
    if form == "json":
        click.echo(summary_render.summary_json(summary))
    elif form == "csv":
        click.echo(summary_render.summary_csv(summary), nl=False)
    elif form == "markdown":
        click.echo(summary_render.summary_markdown(summary, explain), nl=False)
    else:
        summary_render.render_summary(summary, stdout_console(), explain)
