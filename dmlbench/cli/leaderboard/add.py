"""``dmlbench leaderboard add``: entries from elsewhere, after checking."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option, leaderboards_option


@click.command("add")
@click.argument("sources", metavar="FILE|DIR|URL...", nargs=-1, required=True)
@leaderboards_option("--out")
@json_option
def add_command(sources: tuple[str, ...], leaderboards: Path, as_json: bool) -> int:
    """Check entries, or published results, from elsewhere and add them to the leaderboards.

    Several submissions of one configuration are kept side by side; nothing is overwritten. Exit
    code 4 if anything is refused; the rest is still added.
    """
    from dmlbench.errors import DmlbenchError, UsageError
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.verification.submit import Addition, add

    if not all(source.strip() for source in sources):
        # As a path, empty text is the current folder.
        raise UsageError("A source is empty. Give an entry's file, a folder, or an address.")
    found: list[Addition] = []
    unreached: list[DmlbenchError] = []
    for source in sources:
        try:
            found += add(source, leaderboards)
        except DmlbenchError as error:
            if len(sources) == 1:
                raise
            unreached.append(error)
            found.append(Addition(source, "refused", problems=(str(error),)))
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
    if unreached:
        return unreached[0].exit_code
    return 4 if any(addition.outcome == "refused" for addition in found) else 0
