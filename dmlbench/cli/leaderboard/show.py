"""``dmlbench leaderboard show``: the entries of a folder, ranked."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("show")
@click.argument("folder", default="leaderboards", type=click.Path(path_type=Path))
@click.option("--by", default="map_at_r", metavar="METRIC", help="Rank by this metric (MAP@R).")
@click.option("--metrics", default="", metavar="A,B", help="Metric columns to show.")
@click.option("--dataset", metavar="NAME", help="Only this dataset.")
@click.option("--json", "form", flag_value="json", help="All columns and verdicts as JSON.")
@click.option("--csv", "form", flag_value="csv", help="All columns as CSV, metrics as fractions.")
@click.option("--markdown", "form", flag_value="markdown", help="Tables and verdicts as Markdown.")
@click.option(
    "--plot", type=click.Path(path_type=Path), metavar="FILE", help="Draw a PNG, SVG or PDF."
)
def show_command(
    folder: Path,
    by: str,
    metrics: str,
    dataset: str | None,
    form: str | None,
    plot: Path | None,
) -> None:
    """Show the leaderboards in FOLDER: the root of all, one protocol's, or a single dataset's.

    Rows compare within one dataset, backbone, recipe, protocol and width of the embedding. Under
    each table stands whether a combination of losses beats the best of them.
    """
    from dmlbench.leaderboard.claim import read_all_claims
    from dmlbench.leaderboard.export import render_csv, render_json, render_markdown
    from dmlbench.leaderboard.plain import plain
    from dmlbench.leaderboard.render import render_rich, stdout_console
    from dmlbench.leaderboard.store import read_leaderboards
    from dmlbench.leaderboard.table import leaderboard_frame
    from dmlbench.leaderboard.tiers import Tiers
    from dmlbench.leaderboard.verdict import verdicts

    claims, refused = read_all_claims(folder, dataset)
    entries, problems = read_leaderboards(folder, dataset, even_empty=bool(claims))
    for problem in [*problems, *refused]:
        click.echo(f"Refused: {plain(problem, 500)}", err=True)
    columns = [name for name in metrics.split(",") if name.strip()]
    frame = leaderboard_frame(entries, by, Tiers(folder).standing, claims)
    found = verdicts(entries, by)
    if plot is not None:
        from dmlbench.leaderboard.plot import plot_leaderboard

        plot_leaderboard(frame[frame["source"].isna()], plot, by)
        click.echo(f"Drawn: {plot}", err=True)
    if form == "json":
        click.echo(render_json(frame, found, by))
    elif form == "csv":
        click.echo(render_csv(frame), nl=False)
    elif form == "markdown":
        click.echo(render_markdown(frame, found, by, columns), nl=False)
    else:
        render_rich(frame, found, stdout_console(), by, columns)
