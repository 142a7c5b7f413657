"""``dmlbench leaderboard audit``: train a few drawn trials of entries again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dmlbench.cli.options import (
    json_option,
    leaderboards_option,
    unconfined_option,
    verbosity_options,
    without_option,
)
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import RenamedOption, warn
from dmlbench.cli.resources import (
    cluster_options,
    device_option,
    jobs_option,
    read_cluster,
    timeout_option,
)

if TYPE_CHECKING:
    from dmlbench.running.audit import Audited


@click.command("audit")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=PathType(path_type=Path))
@leaderboards_option()
@click.option(
    "--trials",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many completed trials of each entry to train again, and how many failed ones.",
)
@click.option(
    "--salt",
    metavar="TEXT",
    help="What the trials are drawn by: up to 64 letters, digits or signs that no author could "
    "know before submitting.  [default: a random one]",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0, min_open=True),
    metavar="MINUTES",
    help="Stop after so many minutes. Entries whose trials took their authors longer than the time "
    "that remains are left out and named.  [default: no limit]",
)
@click.option(
    "--name",
    "who",
    cls=RenamedOption,
    old_names=["--who"],
    required=True,
    metavar="NAME",
    help="Name of the auditor, stored in the attestation.",
)
@click.option("--no-record", is_flag=True, help="Print the results without recording them.")
@jobs_option
@device_option
@cluster_options
@timeout_option
@unconfined_option
@without_option
@verbosity_options
@json_option
def audit_command(
    files: tuple[Path, ...],
    leaderboards: Path,
    trials: int,
    salt: str | None,
    time_limit: float | None,
    who: str,
    no_record: bool,
    jobs: int | None,
    device: str,
    executor: str,
    address: str | None,
    gpus_per_trial: float | None,
    trial_timeout: float | None,
    unconfined: bool,
    without: tuple[str, ...],
    verbosity: int,
    as_json: bool,
) -> int:
    """Train a few trials of each entry in FILE, or in the leaderboards, again.

    They are drawn at random, after the entry was submitted: of the trials that completed, and as
    many of those that failed, which must fail again.

    Which trials are drawn follows from an entry's content and the salt, so its author could not
    prepare them alone. The results are recorded beside the entries, whose tier becomes "audited"
    if they agree, unless the auditor is the submitter. Exit code 4 if any disagrees, 1 if any
    could not be audited.
    """
    import tempfile

    from dmlbench.cli.progress import watch_run
    from dmlbench.errors import UsageError
    from dmlbench.leaderboard.entries.attestation import require_room, write_attestation
    from dmlbench.leaderboard.entries.record import check_name
    from dmlbench.leaderboard.entries.store import entry_files, leaderboard_folders, linked_out
    from dmlbench.leaderboard.verification.drawing import check_salt, new_salt
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.audit import Audited, audit

    salt = new_salt() if salt is None else check_salt(salt)
    cluster = read_cluster(executor, address, gpus_per_trial)
    who = check_name(who)
    paths: list[Path] = []
    left_out: list[Audited] = []
    for target in files or (leaderboards,):
        if target.is_dir():
            if files:
                warn("FOLDER", "--leaderboards")
            paths += [
                file for folder in leaderboard_folders(target) for file in entry_files(folder)
            ]
            left_out += [Audited(at, None, None, why) for at, why in linked_out(target).items()]
        elif target.is_file():
            paths.append(target)
        else:
            raise UsageError(
                f"There is no {target}. Give an entry's file, or a folder with --leaderboards."
            )
    if not no_record:
        for folder in sorted({path.parent for path in paths}):
            require_room(folder)
    registry = load_plugins(without)
    found = [*left_out]
    if not as_json:
        for audited in found:
            _show(audited)
    with tempfile.TemporaryDirectory(prefix="dmlbench-audit-") as scratch:
        for audited in audit(
            paths,
            registry,
            Path(scratch),
            trials=trials,
            salt=salt,
            who=who,
            seconds=None if time_limit is None else 60 * time_limit,
            jobs=jobs,
            device=device,
            trial_timeout=trial_timeout,
            confine=not unconfined,
            cluster=cluster,
            without=without,
            watching=lambda plan: watch_run(plan, verbosity=verbosity),
        ):
            found.append(audited)
            if audited.found and audited.found.attestation and not no_record:
                write_attestation(audited.path.parent, audited.found.attestation)
            if not as_json:
                _show(audited)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found], indent=1))
    else:
        click.echo(f"Salt: {salt}")
    verdicts = [one.found.agreement.verdict if one.found else "inconclusive" for one in found]
    return 4 if "disagrees" in verdicts else int("inconclusive" in verdicts)


def _show(audited: Audited) -> None:
    from dmlbench.leaderboard.entries.sanitize import plain

    name = plain(audited.path.name)
    if audited.found is None:
        click.echo(f"not audited  {name}: {plain(audited.reason, 1000)}")
        return
    verdict = audited.found.agreement.verdict
    click.echo(f"{verdict:<11}  {name}: {plain(audited.found.agreement.sentence, 1000)}")
    if audited.found.confined:
        click.echo(f"             {plain(audited.found.confined, 1000)}")
    for line in audited.found.unfinished:
        click.echo(f"             ! {plain(line, 500)}")


def _as_json(audited: Audited) -> dict[str, Any]:
    found = audited.found
    return {
        "file": str(audited.path),
        "entry_id": audited.entry.entry_id if audited.entry else None,
        "verdict": found.agreement.verdict if found else None,
        "confinement": found.confined if found else "",
        "sentence": found.agreement.sentence if found else audited.reason,
        "trials": [{"split": trial.split, "seed": trial.seed} for trial in found.attestation.trials]
        if found and found.attestation
        else [],
        "unfinished": list(found.unfinished) if found else [],
    }
