"""``dmlbench leaderboard bundle``: one archive of the test embeddings that entries name."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.options import json_option, leaderboards_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import former_argument


@click.command("bundle")
@former_argument("FOLDER")
@leaderboards_option("FOLDER")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FILE",
    type=PathType(path_type=Path, dir_okay=False),
    help="Archive to write; its name ends in .tar.",
)
@json_option
def bundle_command(leaderboards: Path, target: Path, as_json: bool) -> int:
    """Write one archive of the test embeddings of all entries, to publish beside them.

    Each file is compared with the sha256 in its entry. Whoever has the entries and the archive can
    compute all metrics again: `dmlbench leaderboard verify --bundle FILE|URL`. Trials whose
    embeddings are not here are named. Exit code 4 if a file is not what its entry says, or an
    entry cannot be read; the rest is bundled all the same.
    """
    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.verification.bundle import write_bundle

    if target.suffix != ".tar":
        raise UsageError("--to takes the name of an uncompressed archive, which ends in .tar.")
    found = write_bundle(leaderboards, target)
    if as_json:
        values = {
            "file": str(target),
            "num_files": found.num_files,
            "num_bytes": found.num_bytes,
            "missing": list(found.missing),
            "wrong": list(found.wrong),
        }
        click.echo(json.dumps(values, indent=1))
    else:
        click.echo(
            f"{target}: embeddings of {found.num_files} trials, {found.num_bytes / 2**20:.1f} MiB"
        )
        for line in found.missing:
            click.echo(f"  missing  {plain(line, 500)}")
        for line in found.wrong:
            click.echo(f"  ! {plain(line, 1000)}")
    return 4 if found.wrong else 0
