"""Train an entry again from its own configuration, or on seeds its author did not choose."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dmlbench.data.cache import cache_dir
from dmlbench.errors import UsageError
from dmlbench.files import require_writable
from dmlbench.hookspecs import TrialEvent
from dmlbench.leaderboard.entries.attestation import Attestation, AttestedTrial, Kind
from dmlbench.leaderboard.entries.code import entry_code
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.origin import now
from dmlbench.leaderboard.entries.record import check_name
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.verification.agreement import (
    FEWEST_SEEDS,
    Agreement,
    agreement,
    different_circumstances,
)
from dmlbench.leaderboard.verification.drawing import MOST_FRESH, check_salt, fresh_trials
from dmlbench.leaderboard.verification.recompute import threads_of
from dmlbench.plan.code import code_sha256, with_defaults
from dmlbench.plan.config import Configuration, configuration_from_json
from dmlbench.plan.identity import states_the_same
from dmlbench.plan.protocol import NOT_GUARDED, PROTOCOL
from dmlbench.plugins.registry import Registry
from dmlbench.running.executors.confinement import Confinement, confinement
from dmlbench.running.jobs import Cluster, Resources
from dmlbench.running.planning import Plan, PlannedTrial
from dmlbench.running.runner import execute_plan
from dmlbench.statistics.formatting import listed
from dmlbench.statistics.intervals import Key
from dmlbench.training.trial_folder import TrialFolder
from dmlbench.version import __version__


@dataclass(frozen=True)
class Reproduction:
    """An entry trained again.

    attestation: the new numbers, to be written beside the entry; None if no trial has a result.
    circumstances: in words, whether code, packages and processor were the entry's.
    unfinished: what happened to trials that ended without a result, or that make no entry.
    confined: in words, whether the trials were confined; "" where nothing was trained.
    """

    attestation: Attestation | None
    agreement: Agreement
    circumstances: str
    unfinished: tuple[str, ...]
    confined: str = ""


def plan_again(
    entry: Entry,
    seeds: Sequence[int] | int | None,
    scratch: Path,
    registry: Registry,
    splits: Sequence[int] | int | None = None,
) -> Plan:
    """The trials to train again: the entry's seeds, its first n, or those listed.

    splits: the same for its class splits.
    Raises `UsageError` for a seed or split that the entry does not have, and as `plan_trials`.
    """
    keys = [trial.key for trial in entry.trials]
    if not keys:
        raise UsageError(f"The entry {entry.entry_id} has no trial that could be trained again.")
    wanted = [
        _chosen(given, list(dict.fromkeys(numbers)), what)
        for given, numbers, what in zip(
            (splits, seeds), zip(*keys, strict=True), ("split", "seed"), strict=True
        )
    ]
    keys = [key for key in keys if key[0] in wanted[0] and key[1] in wanted[1]]
    return plan_trials(entry, keys, scratch, registry)


def plan_fresh(
    entry: Entry, salt: str, seeds: int, splits: int | None, scratch: Path, registry: Registry
) -> Plan:
    """Trials on seeds, and class splits, that the salt draws and the entry does not have.

    splits: how many; 0 for the dataset's own, None for as many as the entry has, if it has three.
    Raises `UsageError` for fewer than could be compared, and as `plan_trials`.
    """
    there = len(entry.splits)
    count = (there if there >= FEWEST_SEEDS else 0) if splits is None else splits
    if count and min(count, there) < FEWEST_SEEDS:
        raise UsageError(
            f"Fresh class splits are compared with the entry's, which takes {FEWEST_SEEDS} or more "
            f"on both sides; the entry has {there}, and {count} were asked for."
        )
    own = sum(trial.split == 0 for trial in entry.trials)
    if not count and min(seeds, own) < FEWEST_SEEDS:
        raise UsageError(
            f"Fresh seeds are compared with the entry's on the dataset's own class split, which "
            f"takes {FEWEST_SEEDS} or more on both sides; the entry has {own}, and {seeds} were "
            f"asked for."
        )
    if seeds * max(count, 1) > MOST_FRESH:
        raise UsageError(
            f"{seeds} seeds on {count} class splits are too many fresh trials; the most is "
            f"{MOST_FRESH}."
        )
    return plan_trials(entry, fresh_trials(entry, salt, seeds, count), scratch, registry)


def plan_trials(entry: Entry, keys: Sequence[Key], scratch: Path, registry: Registry) -> Plan:
    """Trials of the entry's configuration, whether the entry has them or not.

    keys: (split, seed) of each.

    Raises `UsageError` for a plugin that is not installed here, or a configuration that this
    version of dmlbench understands in another way.
    """
    configuration = _configuration(entry, registry)
    code = code_sha256(configuration, registry)
    trials = []
    for split, seed in keys:
        folder = TrialFolder(scratch, configuration.entry_id, code, seed, split)
        result = folder.read_result()
        status = result.trial.status if result else "to do"
        trials.append(PlannedTrial(configuration, split, seed, folder, status))
    return Plan(scratch, (configuration,), tuple(trials))


def reproduce(
    entry: Entry,
    plan: Plan,
    registry: Registry,
    *,
    who: str,
    kind: Kind = "reproduced",
    salt: str | None = None,
    jobs: int | None = None,
    device: str = "auto",
    trial_timeout: float | None = None,
    until: float | None = None,
    confined: Confinement | None = None,
    cluster: Cluster | None = None,
    without: Sequence[str] = (),
    watch: Callable[[TrialEvent], None] | None = None,
) -> Reproduction:
    """Carry out a plan of this module, with the threads that the entry had, and compare.

    On a GPU operations are deterministic unless the entry's were not.

    kind: "reproduced" for the entry's own trials, "audited" for those that `salt` draws of them, or
        "confirmed" for the fresh seeds that it draws (`dmlbench.leaderboard.verification.drawing`).
    trial_timeout, until, cluster: as of `Resources`.
    confined: as `confinement_in` gives it for the plan's folder; None to train as a run does.
    without: distributions whose plugins are not loaded; `registry` lacks them too.

    What is trained already in the plan's folder is not trained again, so an interrupted
    reproduction resumes. Raises `UsageError` before any training where something cannot be built,
    or for a name or salt that no attestation could hold.
    """
    who, salt = check_name(who), None if salt is None else check_salt(salt)
    threads = max((threads_of(trial) for trial in entry.trials), default=1)
    clustering = any(trial.metrics.clustered for trial in entry.completed)
    resources = Resources(
        jobs=jobs,
        threads=threads,
        device=device,
        clustering=clustering,
        keep_weights=False,
        trial_timeout=trial_timeout,
        confined=confined,
        until=until,
        cluster=cluster,
        # An entry of before there was the choice, or of a CPU, says nothing of it.
        deterministic=all(t.environment.get("deterministic", True) for t in entry.trials),
    )
    outcome = execute_plan(plan, registry, resources, without, watch=watch)
    sentence = " ".join(dict.fromkeys(outcome.confined))
    unfinished = tuple(
        f"{trial.title}: {reason}"
        for trial, reason in outcome.failures
        if trial.folder.read_result() is None
    ) + tuple(reason for _, reason in outcome.unwritten)
    if not outcome.entries:
        nothing = Agreement("inconclusive", "no trial could be trained.")
        return Reproduction(None, nothing, "", unfinished, sentence)
    (again,) = outcome.entries
    wanted = {trial.key for trial in plan.trials}
    trials = [trial for trial in again.trials if trial.key in wanted]
    attestation = Attestation(
        schema_version=1,
        kind=kind,
        entry_id=entry.entry_id,
        entry_sha256=entry.content_sha256(),
        who=who,
        made=now(),
        dmlbench_version=__version__,
        code_sha256=entry_code(again),
        fingerprint=again.dataset.fingerprint,
        trials=[_attested(trial) for trial in trials],
        salt=salt,
    )
    return Reproduction(
        attestation,
        agreement(entry, attestation),
        "" if kind == "confirmed" else _circumstances(entry, attestation),
        unfinished,
        sentence,
    )


@contextlib.contextmanager
def held(scratch: Path) -> Iterator[None]:
    """Hold a folder, made if missing, in which an entry is trained again, until the block ends.

    Raises `UsageError` where another process has it, or where it cannot be written.
    """
    require_writable(scratch, "Give another folder with --scratch.")
    scratch.mkdir(parents=True, exist_ok=True)
    with open(scratch / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"Another process reproduces this entry in {scratch}. Wait for it, or give a "
                f"folder of your own with --scratch."
            ) from error
        yield


def discard(scratch: Path) -> None:
    """Remove what a finished reproduction trained."""
    shutil.rmtree(scratch, ignore_errors=True)


def confinement_in(scratch: Path) -> Confinement:
    """Training without network, writing to `scratch` and the cache alone, if this machine can."""
    return confinement([scratch, cache_dir()])


def _configuration(entry: Entry, registry: Registry) -> Configuration:
    """The entry's configuration. What was added since with a default is at its default."""
    if entry.protocol.name in NOT_GUARDED:
        commit = f", commit {entry.dmlbench_commit}" if entry.dmlbench_commit else ""
        raise UsageError(
            f"The entry {entry.entry_id} is of protocol {entry.protocol.name}, and this dmlbench "
            f"trains under {PROTOCOL}. To reproduce it install the one that made it "
            f"({entry.dmlbench_version}{commit})."
        )
    stated = entry.configuration_json()
    try:
        configuration = configuration_from_json(stated)
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"The entry {entry.entry_id} cannot be trained here: its configuration lacks {error}."
        ) from error
    if not states_the_same(stated, configuration.to_json()):
        raise UsageError(
            f"This dmlbench {__version__} reads the configuration of {entry.entry_id} in another "
            f"way than dmlbench {entry.dmlbench_version}, which made it; install that version to "
            f"reproduce it."
        )
    return with_defaults(configuration, registry)


def _chosen(given: Sequence[int] | int | None, there: list[int], what: str) -> list[int]:
    """Of the numbers that are there all, the first ones or those listed. what: seed or split."""
    if given is None:
        return there
    if isinstance(given, int):
        if not 1 <= given <= len(there):
            raise UsageError(
                f"The entry has {len(there)} {what}s; {given} cannot be trained again."
            )
        return there[:given]
    missing = sorted(set(given) - set(there))
    if missing:
        raise UsageError(
            f"The entry has no {what} {missing[0]}; it has {', '.join(map(str, there))}."
        )
    return list(given)


def _attested(trial: Trial) -> AttestedTrial:
    return AttestedTrial(
        split=trial.split,
        seed=trial.seed,
        metrics=trial.metrics,
        reason=trial.reason,
        embeddings_sha256=trial.embeddings.sha256 if trial.embeddings else None,
        environment=trial.environment,
    )


def _circumstances(entry: Entry, attestation: Attestation) -> str:
    """Whether digits had to be equal, in a sentence."""
    differing = different_circumstances(entry, attestation)
    if differing:
        return (
            f"Here {listed(differing)} {'is' if len(differing) == 1 else 'are'} not the entry's, "
            f"so the last digits may differ."
        )
    same = "Code, packages, processor and threads are the entry's"
    if all(trial.environment.get("device") == "cpu" for trial in attestation.trials):
        return f"{same}: equal digits are expected."
    return (
        f"{same}, and so is the kind of device: digits are equal where every operation on it is "
        f"deterministic."
    )
