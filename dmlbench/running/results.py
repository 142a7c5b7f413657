"""Finished trials of a configuration: in trial folders, or held by an entry alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.code import entry_code
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import entry_path, read_entry
from dmlbench.plan.config import Configuration
from dmlbench.training.trial_folder import TRIALS, TrialFolder, read_result


def finished_results(out: Path, configuration: Configuration, code: str) -> dict[int, Any]:
    """Results by seed, ``{"facts": ..., "trial": ...}``, of trials that ran through this code.

    code: `dmlbench.plan.code.code_sha256` of the configuration. What the entry holds counts as
    well, so that the trials of an entry from elsewhere are neither repeated nor lost.
    """
    results: dict[int, Any] = {}
    entry = stored_entry(out, configuration, code)
    if entry is not None:
        results |= {trial.seed: _result(entry, trial.model_dump()) for trial in entry.trials}
    folder = TrialFolder(out, configuration.entry_id, code, seed=0).path.parent
    for path in sorted(folder.glob("seed-*")):
        result = read_result(path)
        if result is not None:
            results[result["trial"]["seed"]] = result
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


def _result(entry: Entry, trial: dict[str, Any]) -> dict[str, Any]:
    """A trial of an entry in the form in which trial folders keep it."""
    dataset, backbone = entry.dataset.model_dump(), entry.backbone.model_dump()
    common = ("distribution", "version", "name", "params", "source_sha256")
    return {
        "facts": {
            "dataset": {k: v for k, v in dataset.items() if k not in common},
            "backbone": {k: v for k, v in backbone.items() if k not in common},
            "embedding_dim": entry.embedding_dim,
            "head_dims": entry.head_dims,
            "head_parameters": entry.head_parameters,
            "loss_rates": [loss.learning_rate for loss in entry.losses],
        },
        "trial": trial,
    }
