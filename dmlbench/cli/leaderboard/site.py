"""``dmlbench leaderboard site``: a leaderboard as pages that need no server."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from dmlbench.cli.options import json_option, leaderboards_option, without_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import former_argument


@click.command("site")
@click.argument("site", metavar="DIR", type=PathType(path_type=Path))
@former_argument("FOLDER")
@leaderboards_option("FOLDER")
@click.option("--by", default="map_at_r", metavar="METRIC", help="Rank by this metric (MAP@R).")
@click.option("--dataset", metavar="NAME", help="Only this dataset.")
@click.option(
    "--gallery/--no-gallery",
    default=True,
    help="Show test images with their nearest neighbours, where both are there.  "
    "[default: gallery]",
)
@click.option(
    "--config",
    metavar="FILE",
    type=PathType(path_type=Path),
    help="Title, texts, logo and links of your own, as TOML.  [default: _site.toml in the "
    "leaderboards folder, if it is there]",
)
@without_option
@json_option
def site_command(
    site: Path,
    leaderboards: Path,
    by: str,
    dataset: str | None,
    gallery: bool,
    config: Path | None,
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Write leaderboards as a static site into DIR.

    DIR/index.html opens from a file, or from any web server; nothing is loaded from elsewhere. An
    older site in DIR is replaced, and what else is in such a folder is left alone.
    """
    from dmlbench.leaderboard.entries.published_store import read_all_published
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.entries.store import read_leaderboards
    from dmlbench.leaderboard.site.build import write_site
    from dmlbench.leaderboard.site.host import NO_HOST, SITE_FILE, read_host
    from dmlbench.plugins.loading import load_plugins

    if config is None and (leaderboards / SITE_FILE).exists():
        config = leaderboards / SITE_FILE
    host, logo = (NO_HOST, None) if config is None else read_host(config)
    published, refused = read_all_published(leaderboards, dataset)
    entries, problems = read_leaderboards(leaderboards, dataset, even_empty=bool(published))
    problems += refused
    for problem in problems:
        click.echo(f"Refused: {plain(problem, 500)}", err=True)
    written = write_site(
        entries,
        site,
        by,
        published=published,
        source=leaderboards,
        registry=load_plugins(without),
        galleries=gallery,
        host=host,
        logo=logo,
        progress=_show_progress,
    )
    if as_json:
        counts = {
            "index": str(written.index),
            "entries": written.num_entries,
            "published": len(published),
            "groups": written.num_groups,
            "galleries": written.num_galleries,
            "refused": problems,
        }
        click.echo(json.dumps(counts, indent=1))
    else:
        click.echo(
            f"{written.index}: {written.num_entries} entries, {written.num_galleries} with a "
            f"gallery; groups that compare: {written.num_groups}."
        )


def _show_progress(done: int, total: int) -> None:
    """Count pages on a terminal, where a long build would look like a stalled one."""
    if sys.stderr.isatty() and (done == total or done % 25 == 0):
        click.echo(f"\r{done} of {total} pages", err=True, nl=done == total)
