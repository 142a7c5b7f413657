"""The score of every query of an entry, from its stored test embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.evaluate.metrics import metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_value
from dmlbench.leaderboard.verification.recompute import stored_embeddings

# Scores of queries and metrics of entries come from machines that may round otherwise.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class QueryScores:
    """Scores (S, Q) of one metric, over some seeds, for the queries with the labels (Q,)."""

    scores: np.ndarray
    labels: np.ndarray


def query_scores(entry: Entry, leaderboard: Path, metric: str, seeds: list[int]) -> QueryScores:
    """The scores of one metric for the seeds given.

    Raises `VerificationError` that says why there are none: no scores of single queries exist for
    NMI and AMI; embeddings are not here, are others, or do not give the entry's metric.
    """
    from dmlbench.evaluate.retrieval import retrieval

    spec = metric_spec(metric)
    if spec.per_query is None:
        raise VerificationError(f"{spec.title} is no mean over queries")
    rows, labels = [], None
    trials = {trial.seed: trial for trial in entry.completed}
    for seed in seeds:
        stored = stored_embeddings(entry, trials[seed], leaderboard)
        if stored is None:
            raise VerificationError(f"the embeddings of seed {seed} of {entry.label} are not here")
        ks = [recall_depth(metric) or 1]
        try:
            result = retrieval(
                stored.embeddings, stored.labels, stored.gallery, stored.gallery_labels, ks=ks
            )
        except ValueError as error:
            raise VerificationError(
                f"the embeddings of seed {seed} of {entry.label} cannot be scored: {error}"
            ) from error
        scores = result.per_query
        row = spec.per_query(scores)
        claimed = metric_value(trials[seed].metrics, metric)
        if abs(float(row.mean()) - claimed) > _TOLERANCE:
            raise VerificationError(
                f"the embeddings of seed {seed} of {entry.label} do not give its "
                f"{spec.title}; `dmlbench leaderboard verify` says more"
            )
        found = stored.labels[scores.query_index]
        if labels is not None and not np.array_equal(labels, found):
            raise VerificationError(f"the seeds of {entry.label} were tested on different queries")
        labels = found
        rows.append(row.astype(float))
    return QueryScores(np.stack(rows), labels)
