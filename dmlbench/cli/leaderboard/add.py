"""``dmlbench leaderboard add``: entries from elsewhere, after checking."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option, out_option


@click.command("add")
@click.argument("sources", metavar="FILE|DIR|URL...", nargs=-1, required=True)
@out_option
@json_option
def add_command(sources: tuple[str, ...], out: Path, as_json: bool) -> int:
    """Check entries, or published claims, from elsewhere and add them to the leaderboards.

    Several claims about one configuration stay side by side; nothing is overwritten. Exit code 4
    if anything is refused; the rest is added all the same.
    """
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.verification.submit import add

    found = [addition for source in sources for addition in add(source, out)]
    if as_json:
        rows = [
            {
                "source": addition.source,
                "outcome": addition.outcome,
                "file": str(addition.path) if addition.path else None,
                "label": addition.label,
                "problems": list(addition.problems),
            }
            for addition in found
        ]
        click.echo(json.dumps(rows, indent=1))
    else:
        for addition in found:
            at = f" {addition.path}" if addition.path else ""
            click.echo(
                f"{addition.outcome}: {plain(addition.source)} {plain(addition.label)}".rstrip()
                + (f" ->{at}" if at else "")
            )
            for problem in addition.problems:
                click.echo(f"  ! {plain(problem, 1000)}")
    return 4 if any(addition.outcome == "refused" for addition in found) else 0
