"""The score of every query of an entry, from its stored test embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.evaluate.metrics import metric_spec, recall_depth
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_value
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.verification.recompute import stored_embeddings
from dmlbench.statistics.intervals import Key

# Scores of queries and metrics of entries come from machines that may round otherwise.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class QueryScores:
    """Scores (S, Q) of one metric, over some seeds, for queries of the classes (Q,) int64.

    classes: which of all classes of the dataset, the same on all class splits.
    """

    scores: np.ndarray
    classes: np.ndarray


def query_scores(entry: Entry, leaderboard: Path, metric: str, keys: list[Key]) -> QueryScores:
    """The scores of one metric for the trials given, all of one class split; 0 for failed trials.

    Raises `VerificationError` that says why there are none: no scores of single queries exist for
    NMI and AMI; embeddings are not here, are others, or do not give the entry's metric.
    """
    spec = metric_spec(metric)
    if spec.per_query is None:
        raise VerificationError(f"{spec.title} is not a mean over queries")
    trials = {trial.key: trial for trial in entry.trials}
    rows: list[np.ndarray | None] = []
    classes: np.ndarray | None = None
    for key in keys:
        if trials[key].metrics is None:
            rows.append(None)
            continue
        row, found = _trial_scores(entry, trials[key], leaderboard, metric)
        if classes is not None and not np.array_equal(classes, found):
            raise VerificationError(f"the seeds of {entry.label} were tested on different queries")
        classes = found
        rows.append(row)
    if classes is None:
        raise VerificationError(f"no trial of {entry.label} completed")
    scores = [np.zeros(len(classes)) if row is None else row for row in rows]
    return QueryScores(np.stack(scores), classes)


def _trial_scores(
    entry: Entry, trial: Trial, leaderboard: Path, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """One completed trial's scores (Q,) and the classes (Q,) of its queries."""
    from dmlbench.evaluate.retrieval import retrieval

    spec = metric_spec(metric)
    where = f"the embeddings of {trial.title} of {entry.label}"
    stored = stored_embeddings(entry, trial, leaderboard)
    if stored is None:
        raise VerificationError(f"{where} are not here")
    ks = [recall_depth(metric) or 1]
    try:
        result = retrieval(
            stored.embeddings,
            stored.labels,
            stored.gallery,
            stored.gallery_labels,
            ks=ks,
            metric=stored.similarity,
        )
    except ValueError as error:
        raise VerificationError(f"{where} cannot be scored: {error}") from error
    row = spec.per_query(result.per_query)
    if abs(float(row.mean()) - metric_value(trial.metrics, metric)) > _TOLERANCE:
        raise VerificationError(
            f"{where} do not give its {spec.title}; `dmlbench leaderboard verify` says more"
        )
    return row.astype(float), stored.classes[stored.labels[result.per_query.query_index]]
