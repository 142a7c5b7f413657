"""``dmlbench leaderboard verify``: what does not hold, file by file; exit code 4 if anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.options import json_option, leaderboards_option
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import RenamedOption, warn

if TYPE_CHECKING:
    from dmlbench.leaderboard.verification.verify import Verified


@click.command("verify")
@click.argument("file", required=False, type=PathType(path_type=Path))
@leaderboards_option()
@click.option(
    "--quick", is_flag=True, help="Only schema and invariants: no metric is computed again."
)
@click.option(
    "--rebuild",
    is_flag=True,
    help="Build every dataset that this machine has, to compare labels with. Those that come with "
    "dmlbench are built anyway.",
)
@click.option(
    "--bundle",
    metavar="FILE|URL",
    help="Take test embeddings that are not beside the leaderboards from this archive, as "
    "`dmlbench leaderboard bundle` writes it.",
)
@click.option(
    "--name",
    "who",
    cls=RenamedOption,
    old_names=["--record"],
    metavar="NAME",
    help="Record beside the entries that NAME computed their metrics again.",
)
@json_option
def verify_command(
    file: Path | None,
    leaderboards: Path,
    quick: bool,
    rebuild: bool,
    bundle: str | None,
    who: str | None,
    as_json: bool,
) -> int:
    """Check the entry in FILE, or all in the leaderboards, and say exactly what does not hold.

    Schema, invariants, protocol and dataset are checked, and metrics are computed again from the
    stored test embeddings if they are here. Exit code 4 if anything does not hold.
    """
    import contextlib

    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.entries.attestation import require_room
    from dmlbench.leaderboard.entries.record import check_name
    from dmlbench.leaderboard.entries.store import leaderboard_folders
    from dmlbench.leaderboard.verification.attest import attest
    from dmlbench.leaderboard.verification.bundle_reading import open_bundle
    from dmlbench.leaderboard.verification.verify import verify

    if file is not None and file.is_dir():
        warn("FOLDER", "--leaderboards")
    target = file or leaderboards
    if not target.exists():
        raise UsageError(
            f"There is no {target}. Give an entry's file, or a folder with --leaderboards."
        )
    if who is not None:
        who = check_name(who)
        if quick:
            raise UsageError(
                "--name says who computed the metrics again. --quick computes none; give one of "
                "the two."
            )
    if bundle is not None and quick:
        raise UsageError(
            "--bundle holds embeddings, which --quick does not read. Give one of the two."
        )
    with open_bundle(bundle) if bundle is not None else contextlib.nullcontext() as opened:
        if who is not None:
            for folder in [target.parent] if target.is_file() else leaderboard_folders(target):
                require_room(folder)
        found = verify(target, embeddings=not quick, rebuild=rebuild, bundle=opened)
    if who is not None:
        for verified in found:
            path = attest(verified, who)
            if path is not None:
                click.echo(f"Recorded: {path}", err=True)
    if as_json:
        click.echo(json.dumps([_as_json(verified) for verified in found], indent=1))
    else:
        _show(found)
    return 4 if any(verified.failures for verified in found) else 0


def _as_json(verified: Verified) -> dict[str, Any]:
    return {
        "file": str(verified.path),
        "entry_id": verified.entry.entry_id if verified.entry else None,
        "label": verified.label,
        "tier": verified.tier,
        "recomputed": [
            {"split": split, "seed": seed} for split, seed in sorted(verified.recomputed)
        ],
        "failures": [failure._asdict() for failure in verified.failures],
        "notes": verified.notes,
    }


def _show(found: list[Verified]) -> None:
    from dmlbench.leaderboard.entries.sanitize import plain

    folder = None
    for verified in found:
        if verified.tier == "unverified" and verified.entry is None:
            continue
        if verified.path.parent != folder:
            folder = verified.path.parent
            click.echo(f"{plain(str(folder), 500)}:")
        word = "FAILED" if verified.failures else verified.tier or "void"
        line = f"  {word:<10}  {plain(verified.path.name)}  {plain(verified.label)}"
        click.echo(line.rstrip())
        for failure in verified.failures:
            click.echo(f"              ! {failure.check}: {plain(failure.message, 1000)}")
        for note in verified.notes:
            click.echo(f"              {plain(note, 1000)}")
    counts = {name: sum(v.tier == name and not v.failures for v in found) for name in _tiers()}
    parts = [f"{count} {name}" for name, count in counts.items() if count]
    failed = sum(1 for verified in found if verified.failures)
    parts += [f"{failed} failed"] if failed else []
    click.echo(f"{', '.join(parts) or 'There is nothing to verify'}.")


def _tiers() -> tuple[str, ...]:
    from dmlbench.leaderboard.verification.tiers import TIERS

    return TIERS[::-1]
