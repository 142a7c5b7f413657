"""Entries of a run: made from all trials that are finished, and kept where they are complete."""

from __future__ import annotations

from pathlib import Path

from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.plan.config import Configuration
from dmlbench.plugins.registry import Registry
from dmlbench.running.assemble import Origin, assemble_entry, merge_with_stored
from dmlbench.running.results import archive_superseded, finished_results, stored_entry
from dmlbench.running.tuning_records import tuning_of
from dmlbench.training.failures import described
from dmlbench.training.trial_folder import entry_lock


def update_entry(
    out: Path, configuration: Configuration, code: str, registry: Registry, origin: Origin
) -> Entry | None:
    """Write the entry of the trials that are finished, those of earlier runs included.

    code: `dmlbench.plan.code.code_sha256` of the configuration.
    Returns the entry, None where no trial is finished; leaves a file alone that holds these trials
    already. Raises `DmlbenchError` where they make no entry, or where it cannot be written.
    """
    try:
        with entry_lock(out, configuration.entry_id):
            results = finished_results(out, configuration, code)
            if not results:
                return None
            assembled = assemble_entry(
                configuration,
                registry,
                list(results.values()),
                origin,
                tuning_of(out, configuration),
            )
            stored = stored_entry(out, configuration, code)
            entry = merge_with_stored(stored, assembled, origin)
            if entry is not stored:
                archive_superseded(out, configuration, code)
                write_entry(out, entry)
        return entry
    except OSError as error:
        raise DmlbenchError(
            f"{configuration.label()}: its entry cannot be written: {described(error)}"
        ) from error
