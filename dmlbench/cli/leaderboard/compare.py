"""``dmlbench leaderboard compare``: what can be concluded about two entries, in a sentence."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from dmlbench.cli.completion import entries
from dmlbench.cli.options import json_option, leaderboards_option
from dmlbench.cli.paths import PathType


@click.command("compare")
@click.argument("first", metavar="A", shell_complete=entries)
@click.argument("others", metavar="B...", nargs=-1, required=True, shell_complete=entries)
@leaderboards_option("--out")
@click.option("--by", default="map_at_r", metavar="METRIC", help="Compare this metric (MAP@R).")
@click.option(
    "--resamples",
    type=click.IntRange(100, 1_000_000),
    default=10_000,
    show_default=True,
    help="Resamples of the bootstrap.",
)
@click.option(
    "--plot", type=PathType(path_type=Path), metavar="FILE", help="Draw a PNG, SVG or PDF."
)
@json_option
def compare_command(
    first: str,
    others: tuple[str, ...],
    leaderboards: Path,
    by: str,
    resamples: int,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Compare entry A with B, or with each of several, corrected for their number.

    Give each entry as an id, a unique prefix of an id, a file, or the name of its row where that is
    unique, such as triplet or 'wedl(triplet, ms)'. The difference is paired over
    the seeds that both have and, if the test embeddings are stored here, over queries and over
    test classes. Entries of different groups are refused, naming what differs.
    """
    from dmlbench.leaderboard.comparison.compare import Located, compare
    from dmlbench.leaderboard.entries.store import read_entry
    from dmlbench.leaderboard.listing.names import entry_file
    from dmlbench.leaderboard.views.terminal import say, stdout_console
    from dmlbench.plan.protocol import caution

    if plot is not None:
        from dmlbench.leaderboard.views.figure import checked_file

        checked_file(plot)
    located = []
    for name in (first, *others):
        path = entry_file(leaderboards, name)
        located.append(Located(read_entry(path), path.parent))
    found = compare(located[0], located[1:], by, resamples)
    if plot is not None:
        from dmlbench.leaderboard.views.comparison_plot import plot_comparisons

        plot_comparisons(found, plot)
        click.echo(f"Drawn: {plot}", err=True)
    if as_json:
        click.echo(json.dumps([asdict(comparison) for comparison in found], indent=1))
        return
    console = stdout_console()
    for comparison in found:
        say(console, comparison.sentence, bullet="> " if len(found) > 1 else "")
    for note in filter(None, map(caution, sorted({one.entry.protocol.name for one in located}))):
        say(console, note, style="dim", bullet="! ")
