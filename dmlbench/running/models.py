"""The trained models of entries, from the weights that their trials kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import find_entry_file, read_entry
from dmlbench.leaderboard.entries.trial import Trial, keys_text
from dmlbench.leaderboard.verification.tiers import embeddings_path
from dmlbench.plan.code import with_defaults
from dmlbench.plan.config import Configuration, configuration_from_json
from dmlbench.plugins.registry import Registry
from dmlbench.training.trial_folder import WEIGHTS

if TYPE_CHECKING:
    from dmlbench.training.network import EmbeddingNetwork


def load_network(
    name: str | os.PathLike[str],
    registry: Registry,
    leaderboards: Path,
    seed: int | None = None,
    split: int = 0,
) -> tuple[EmbeddingNetwork, Entry, Trial]:
    """The model of one trial, on the CPU.

    name: the entry's id, a unique prefix of it, or its file, beside which the weights are then.
    seed: None for the first completed trial of the class split; never the best, which would be
        chosen on test classes.
    Raises `UsageError` for an entry, a trial or weights that are not there, `VerificationError` for
    weights that are not the trial's.
    """
    from dmlbench.training.kept_weights import kept_weights
    from dmlbench.training.network import build_network

    path = find_entry_file(leaderboards, os.fspath(name))
    entry = read_entry(path)
    trial = _trial(entry, seed, split)
    artefact = trial.embeddings
    found = None if artefact is None else embeddings_path(path.parent, artefact)
    weights = None if found is None else found.with_name(WEIGHTS)
    if artefact is None or weights is None or not weights.is_file():
        raise UsageError(
            f"No weights are kept for {trial.title} of {entry.entry_id}"
            f"{'' if weights is None else f': there is no file {weights}'}. They are only where "
            f"the trial was trained, without --no-keep-weights; train it again in another folder."
        )
    state = kept_weights(weights, artefact.sha256)
    network = build_network(
        _configuration(entry, registry),
        registry,
        trial.seed,
        state,
        entry.backbone.weights_sha256,
    )
    return network, entry, trial


def _trial(entry: Entry, seed: int | None, split: int) -> Trial:
    completed = [trial for trial in entry.completed if trial.split == split]
    if seed is not None:
        completed = [trial for trial in completed if trial.seed == seed]
    if not completed:
        asked = f"seed {seed}" if seed is not None else "trial"
        where = f" of split {split}" if split else ""
        has = keys_text(trial.key for trial in entry.completed)
        raise UsageError(
            f"The entry {entry.entry_id} has no completed {asked}{where}; it has {has}."
        )
    return completed[0]


def _configuration(entry: Entry, registry: Registry) -> Configuration:
    try:
        return with_defaults(configuration_from_json(entry.configuration_json()), registry)
    except (KeyError, TypeError) as error:
        raise UsageError(
            f"The model of {entry.entry_id} cannot be built here: its configuration lacks {error}; "
            f"install dmlbench {entry.dmlbench_version}, which made it."
        ) from error
