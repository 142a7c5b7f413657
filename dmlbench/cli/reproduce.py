"""``dmlbench reproduce``: train an entry again, compare, and record the outcome beside it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dmlbench.cli.completion import entries
from dmlbench.cli.options import (
    json_option,
    leaderboards_option,
    unconfined_option,
    verbosity_options,
    without_option,
)
from dmlbench.cli.paths import PathType
from dmlbench.cli.renamed import RenamedOption
from dmlbench.cli.request_options import read_seeds, read_splits
from dmlbench.cli.resources import (
    cluster_options,
    device_option,
    jobs_option,
    read_cluster,
    timeout_option,
)

# The exit code of each verdict; what could not be decided is not a success.
_CODES = {"equal": 0, "agrees": 0, "disagrees": 4, "inconclusive": 1}


@click.command("reproduce")
@click.argument("entry", shell_complete=entries)
@leaderboards_option("--out")
@click.option(
    "--seeds",
    metavar="N|LIST",
    help="How many of the entry's seeds (3 means the first 3), or which (0,1,7).  [default: all]",
)
@click.option(
    "--splits",
    metavar="N|LIST",
    help="How many of its class splits, or which.  [default: all]",
)
@click.option(
    "--fresh",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Train on N seeds that the author did not choose instead, 3 or more on one class split.",
)
@click.option(
    "--fresh-splits",
    type=click.IntRange(0, 1000),
    metavar="M",
    help="With --fresh: on M class splits that the author did not choose, 3 or more, or 0 for the "
    "dataset's own.  [default: as many as the entry has, if it has 3]",
)
@click.option(
    "--salt",
    metavar="TEXT",
    help="With --fresh: what seeds and splits are drawn by.  [default: a random text]",
)
@jobs_option
@device_option
@cluster_options
@timeout_option
@click.option(
    "--name",
    "who",
    cls=RenamedOption,
    old_names=["--who"],
    metavar="NAME",
    default="unnamed",
    show_default=True,
    help="Name of who reproduced it, stored in the attestation.",
)
@click.option("--no-record", is_flag=True, help="Print the result without recording it.")
@click.option(
    "--scratch",
    metavar="DIR",
    type=PathType(file_okay=False, path_type=Path),
    help="Where to train.  [default: .trials in the leaderboards' folder; removed at the end, "
    "kept after an interruption to resume from]",
)
@unconfined_option
@without_option
@verbosity_options
@json_option
def reproduce_command(
    entry: str,
    leaderboards: Path,
    seeds: str | None,
    splits: str | None,
    fresh: int | None,
    fresh_splits: int | None,
    salt: str | None,
    jobs: int | None,
    device: str,
    executor: str,
    address: str | None,
    gpus_per_trial: float | None,
    trial_timeout: float | None,
    who: str,
    no_record: bool,
    scratch: Path | None,
    unconfined: bool,
    without: tuple[str, ...],
    verbosity: int,
    as_json: bool,
) -> int:
    """Train ENTRY again with the same configuration and compare the results.

    ENTRY is an id, a unique prefix of one, or a file. On the same code and processor every metric
    is expected to be equal to the last digit; elsewhere it must be within the spread of the entry's
    own trials. The result is recorded beside the entry. Its tier becomes "reproduced" once all its
    trials are, and "confirmed" if fresh trials agree, unless its submitter trained it again
    himself. Exit code 0 if the results agree, 4 if they disagree, 1 if that cannot be decided.
    """
    from dmlbench.cli.progress import watch_run
    from dmlbench.errors import UsageError
    from dmlbench.files import require_writable, resolved
    from dmlbench.leaderboard.entries.attestation import require_room, write_attestation
    from dmlbench.leaderboard.entries.record import check_name
    from dmlbench.leaderboard.entries.sanitize import plain
    from dmlbench.leaderboard.entries.store import find_entry_file, read_entry
    from dmlbench.leaderboard.verification.drawing import check_salt, new_salt
    from dmlbench.leaderboard.verification.tiers import Tiers
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.reproduce import (
        confinement_in,
        discard,
        held,
        plan_again,
        plan_fresh,
        reproduce,
    )
    from dmlbench.training.trial_folder import TRIALS, make_folder

    if (salt is not None or fresh_splits is not None) and fresh is None:
        raise UsageError("--salt and --fresh-splits go with --fresh.")
    salt = new_salt() if salt is None else check_salt(salt)
    if fresh is not None and (seeds is not None or splits is not None):
        raise UsageError("--fresh draws trials; leave --seeds and --splits out.")
    cluster = read_cluster(executor, address, gpus_per_trial)
    who = check_name(who)
    path = find_entry_file(leaderboards, entry)
    found = read_entry(path)
    if not no_record:
        require_room(path.parent)
    registry = load_plugins(without)
    root = resolved(path).parent.parent.parent
    place = scratch or root / TRIALS / "reproductions" / path.stem
    if scratch is None:
        require_writable(place, "Give another folder with --scratch.")
        make_folder(root, place)
    with held(place):
        if fresh is None:
            kind, salt = "reproduced", None  # no trial is drawn
            plan = plan_again(
                found,
                None if seeds is None else read_seeds(seeds),
                place,
                registry,
                None if splits is None else read_splits(splits),
            )
        else:
            kind = "confirmed"
            plan = plan_fresh(found, salt, fresh, fresh_splits, place, registry)
        with watch_run(plan, verbosity=verbosity) as watch:
            result = reproduce(
                found,
                plan,
                registry,
                who=who,
                kind=kind,
                salt=salt,
                jobs=jobs,
                device=device,
                trial_timeout=trial_timeout,
                confined=None if unconfined else confinement_in(place),
                cluster=cluster,
                without=without,
                watch=watch,
            )
        recorded = None
        if result.attestation is not None and not no_record:
            recorded = write_attestation(path.parent, result.attestation)
        if scratch is None and not result.unfinished:
            discard(place)
    if as_json:
        document = {
            "entry_id": found.entry_id,
            "verdict": result.agreement.verdict,
            "sentence": result.agreement.sentence,
            "circumstances": result.circumstances,
            "confinement": result.confined,
            "recorded": str(recorded) if recorded else None,
            "unfinished": list(result.unfinished),
            "attestation": result.attestation.model_dump() if result.attestation else None,
        }
        click.echo(json.dumps(document, indent=1))
    else:
        click.echo(f"{result.agreement.verdict}: {plain(result.agreement.sentence, 1000)}")
        if result.circumstances:
            click.echo(plain(result.circumstances, 1000))
        if result.confined:
            click.echo(plain(result.confined, 1000))
        for line in result.unfinished:
            click.echo(f"  ! {plain(line, 500)}")
        if recorded:
            verification = Tiers(path.parent).verification(found)
            on = f" on fresh {verification.confirmed_on}" if verification.confirmed_on else ""
            tier = "; ".join([f"the row is {verification.tier}{on}", *verification.issues])
            click.echo(f"Recorded: {recorded}; {plain(tier, 1000)}", err=True)
    return _CODES[result.agreement.verdict]
