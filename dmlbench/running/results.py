"""Finished trials of a configuration: in trial folders, or held by an entry alone."""

from __future__ import annotations

import os
from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.code import entry_code
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import entry_path, read_entry
from dmlbench.leaderboard.entries.trial_result import TrialResult
from dmlbench.plan.config import Configuration
from dmlbench.statistics.intervals import Key
from dmlbench.training.trial_folder import TRIALS, TrialFolder, read_result


def finished_results(out: Path, configuration: Configuration, code: str) -> dict[Key, TrialResult]:
    """Results by (split, seed), of trials that ran through this code.

    code: `dmlbench.plan.code.code_sha256` of the configuration. What the entry holds counts as
    well, so the trials of an entry from elsewhere are neither repeated nor lost.
    """
    results: dict[Key, TrialResult] = {}
    entry = stored_entry(out, configuration, code)
    if entry is not None:
        metadata = entry.metadata
        results |= {t.key: TrialResult(metadata=metadata, trial=t) for t in entry.trials}
    folder = TrialFolder(out, configuration.entry_id, code, seed=0).path.parent
    for path in sorted(folder.glob("*seed-*")):
        result = read_result(path, TrialResult)
        if result is not None:
            results[result.trial.key] = result
    return results


def stored_entry(out: Path, configuration: Configuration, code: str) -> Entry | None:
    """The entry on file, or None where there is none that this code made and that can be read."""
    entry = _entry(out, configuration)
    return entry if entry is not None and entry_code(entry) == code else None


def archive_superseded(out: Path, configuration: Configuration, code: str) -> Path | None:
    """Move an entry that other code made, or that cannot be read, out of the way of a new one.

    Gives its new place, or None where nothing had to move.
    """
    path = _path(out, configuration)
    if not path.exists() or stored_entry(out, configuration, code) is not None:
        return None
    entry = _entry(out, configuration)
    name = entry_code(entry)[:12] if entry is not None else "unreadable"
    place = out / TRIALS / configuration.entry_id / f"superseded-{name}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    os.replace(path, place)
    return place


def _path(out: Path, configuration: Configuration) -> Path:
    names = configuration.protocol.name, configuration.dataset.name
    return entry_path(out, *names, configuration.entry_id)


def _entry(out: Path, configuration: Configuration) -> Entry | None:
    try:
        return read_entry(_path(out, configuration))
    except VerificationError:
        return None
