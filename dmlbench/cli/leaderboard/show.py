"""``dmlbench leaderboard show``: the entries of a folder, ranked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.leaderboard.filter_options import filter_options, read_filters
from dmlbench.cli.options import leaderboards_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import former_argument

if TYPE_CHECKING:
    from dmlbench.leaderboard.entries.entry import Entry
    from dmlbench.leaderboard.listing.filters import Filters
    from dmlbench.leaderboard.listing.listing import Listing

# On a terminal, a board of more rows is cut to the first rows of the first groups.
_ENORMOUS = 1000
_ROWS = 10
_GROUPS = 10


@click.command("show")
@former_argument("FOLDER")
@leaderboards_option("FOLDER")
@click.option("--by", default="map_at_r", metavar="METRIC", help="Rank by this metric (MAP@R).")
@click.option("--metrics", default="", metavar="A,B", help="Metric columns to show.")
@filter_options
@click.option("--json", "as_json", is_flag=True, help="All columns and verdicts as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="All columns as CSV, metrics as fractions.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Tables and verdicts as Markdown.")
@click.option("--latex", "as_latex", is_flag=True, help="Tables for LaTeX, with booktabs.")
@click.option(
    "--plot", type=PathType(path_type=Path), metavar="FILE", help="Draw a PNG, SVG or PDF."
)
@click.option(
    "--over-datasets",
    is_flag=True,
    help="One row per configuration over all datasets; a mean only if none is missing.",
)
@click.option("--explain", is_flag=True, help="Explain the columns, and show every note.")
@click.option("--no-cache", is_flag=True, help="Read every file, whatever was read before.")
def show_command(
    leaderboards: Path,
    by: str,
    metrics: str,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
    as_latex: bool,
    plot: Path | None,
    over_datasets: bool,
    explain: bool,
    no_cache: bool,
    **filtered: Any,
) -> None:
    """Show leaderboards: all of a folder, those of one protocol in it, or of a single dataset.

    Rows are compared within one dataset, backbone, recipe, protocol and embedding dimension.
    Below each table, a sentence says whether each combination beats its best single loss.
    Published results are listed separately, unranked, with their source. With --markdown the
    tables follow the text of the folder's `_about.md`, if there is one.

    Filters leave out rows, not ranks: those are always among all rows of a group. On a terminal, of
    more than 1000 rows the first 10 of each of the first 10 groups are shown.
    """
    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.entries.published_store import read_all_published
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.entries.store import ABOUT, about
    from dmlbench.leaderboard.listing.board import lay_out
    from dmlbench.leaderboard.listing.listing import open_listing, require_entries
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
    filters = read_filters(filtered)
    published, refused = read_all_published(leaderboards)
    published = [result for result in published if filters.fits_published(result)]
    listing = open_listing(leaderboards, use_cache=not no_cache)
    introduced = (leaderboards / ABOUT).exists()  # a leaderboard that is still to be filled
    if not published and not introduced:
        require_entries(listing)
    for problem in [*listing.problems, *refused]:
        click.echo(f"Refused: {plain(problem, 500)}", err=True)
    if not listing.groups and not published:
        click.echo(f"{plain(str(leaderboards), 500)} has no entry yet.", err=True)
    if listing.groups and not published:
        filters.check(listing)
    listing = filters.listing(listing)
    if over_datasets:
        _show_summary(_all_entries(listing), by, form, plot, explain)
        return
    columns = [name for name in metrics.split(",") if name.strip()]
    groups, left_out = list(listing.groups), 0
    if form is None and plot is None:
        groups, filters, left_out = _first(listing, filters)
    board = lay_out(listing, by, published, groups)
    frame, found = board.frame, board.verdicts
    if plot is not None:
        from dmlbench.leaderboard.views.plot import plot_leaderboard

        drawn = filters.keep_all(frame[frame["source"].isna()])
        for file in plot_leaderboard(drawn, plot, by):
            click.echo(f"Drawn: {file}", err=True)
    if form in ("json", "csv"):
        frame = filters.keep_all(frame)
        found = [verdict for verdict in found if verdict.key in set(frame["key"])]
    if form == "json":
        click.echo(render_json(frame, found, by))
    elif form == "csv":
        click.echo(render_csv(frame), nl=False)
    elif form == "markdown":
        text = render_markdown(frame, found, by, columns, explain, keep=filters.keep)
        click.echo(about(leaderboards) + text, nl=False)
    elif form == "latex":
        click.echo(render_latex(frame, by, columns, keep=filters.keep), nl=False)
    else:
        render_rich(frame, found, stdout_console(), by, columns, explain, keep=filters.keep)
    if left_out:
        click.echo(
            f"{left_out} more groups are not shown: choose with --dataset, --backbone, --recipe, "
            f"--loss or --combiner, or write them all with --csv or --json.",
            err=True,
        )


def _first(listing: Listing, filters: Filters) -> tuple[list[str], Filters, int]:
    """The groups to show on a terminal, the filters, and how many groups are left out."""
    from dataclasses import replace

    groups = list(listing.groups)
    if filters.top is not None or sum(map(len, listing.groups.values())) <= _ENORMOUS:
        return groups, filters, 0
    return groups[:_GROUPS], replace(filters, top=_ROWS), max(0, len(groups) - _GROUPS)


def _all_entries(listing: Listing) -> list[Entry]:
    return [entry for group in listing.groups for entry in listing.entries(group)]


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
