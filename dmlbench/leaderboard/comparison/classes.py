"""An entry's test classes, from its stored embeddings: which are found, which are confused.

Legend: Q queries of a trial.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.trial import Trial
from dmlbench.leaderboard.verification.recompute import StoredEmbeddings, stored_embeddings

# Metrics of entries come from machines that may round otherwise.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ClassScores:
    """One test class over the trials that tested it; metrics are fractions.

    number: which of all classes of the dataset, its training classes first; the same on all splits.
    images: queries of the class in a trial. trials: how many tested it.
    map_at_r, recall_at_1: the mean over trials of the mean over the class's queries.
    map_at_r_sd: standard deviation over trials; None from one trial.
    """

    number: int
    images: int
    trials: int
    map_at_r: float
    recall_at_1: float
    map_at_r_sd: float | None


@dataclass(frozen=True)
class Confusion:
    """Queries of one class whose nearest image is of another one, as Recall@1 counts misses.

    number, nearest: both classes, as `ClassScores.number`. queries: how many per trial, the mean
    over the trials that tested both. share: of the queries of the class.
    """

    number: int
    nearest: int
    queries: float
    share: float


@dataclass(frozen=True)
class ClassTable:
    """Every test class, best MAP@R first, and the confused pairs, most frequent first.

    trials: those it is computed from. missing: titles of completed trials whose embeddings are not
    here.
    """

    classes: tuple[ClassScores, ...]
    confusions: tuple[Confusion, ...]
    trials: tuple[Trial, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True)
class _Queries:
    """The queries of one trial: class, AP@R, found at rank 1 (Q,); nearest class, −1 if found."""

    number: np.ndarray
    precision: np.ndarray
    found: np.ndarray
    nearest: np.ndarray


def class_table(entry: Entry, leaderboard: Path, of: Sequence[Trial] | None = None) -> ClassTable:
    """Compute the table from the test embeddings stored beside the leaderboard.

    leaderboard: the folder that the entry is in. of: completed trials; None for all of them.
    Raises `VerificationError` where no trial has embeddings here, a file is not the entry's, or
    does not give the metrics that the entry says.
    """
    trials, missing, scored = [], [], []
    for trial in entry.completed if of is None else of:
        stored = stored_embeddings(entry, trial, leaderboard)
        if stored is None:
            missing.append(trial.title)
            continue
        trials.append(trial)
        scored.append(_queries(entry, trial, stored))
    if not trials:
        raise VerificationError(no_embeddings(entry, leaderboard))
    return ClassTable(*_summarised(scored), tuple(trials), tuple(missing))


def no_embeddings(entry: Entry, leaderboard: Path) -> str:
    """Why nothing can be computed from embeddings, and what to do."""
    if not entry.completed:
        return f"No trial of entry {entry.entry_id} completed, so it has no test embeddings."
    return (
        f"No test embeddings of entry {entry.entry_id} are stored beside {leaderboard}. They are "
        f"on the machine that trained it, and in the bundle if the leaderboard publishes one; "
        f"`dmlbench reproduce` trains the entry again."
    )


def numbers_of(labels: np.ndarray, stored: StoredEmbeddings, where: str) -> np.ndarray:
    """Which of all classes of the dataset each label (Q,) is; raises `VerificationError`."""
    classes = stored.classes
    if classes is None or labels.min() < 0 or labels.max() >= len(classes):
        raise VerificationError(f"{where} have labels of classes that the entry does not have")
    return classes[labels]


def _queries(entry: Entry, trial: Trial, stored: StoredEmbeddings) -> _Queries:
    from dmlbench.evaluate.confusions import nearest_other_class
    from dmlbench.evaluate.retrieval import retrieval

    where = f"the embeddings of {trial.title} of {entry.label}"
    searched = (stored.gallery, stored.gallery_labels)
    try:
        result = retrieval(
            stored.embeddings, stored.labels, *searched, ks=[1], metric=stored.similarity
        )
        found = result.per_query.recall_at[1]
        missed = result.per_query.query_index[~found]
        others = nearest_other_class(
            stored.embeddings, stored.labels, missed, *searched, stored.similarity
        )
    except ValueError as error:
        raise VerificationError(f"{where} cannot be scored: {error}") from error
    if trial.metrics is None or abs(result.map_at_r - trial.metrics.map_at_r) > _TOLERANCE:
        raise VerificationError(
            f"{where} do not give its MAP@R; `dmlbench leaderboard verify` says more"
        )
    nearest = np.full(len(found), -1)
    if len(missed):
        nearest[~found] = numbers_of(others, stored, where)
    return _Queries(
        numbers_of(stored.labels[result.per_query.query_index], stored, where),
        result.per_query.average_precision_at_r,
        found,
        nearest,
    )


def _summarised(
    scored: Sequence[_Queries],
) -> tuple[tuple[ClassScores, ...], tuple[Confusion, ...]]:
    precision, recall = defaultdict(list), defaultdict(list)
    images: dict[int, int] = {}
    misses: Counter[tuple[int, int]] = Counter()
    tested: list[set[int]] = []
    for queries in scored:
        tested.append(set(np.unique(queries.number).tolist()))
        for number in tested[-1]:
            own = queries.number == number
            precision[number].append(float(queries.precision[own].mean()))
            recall[number].append(float(queries.found[own].mean()))
            images[number] = int(own.sum())
        missed = queries.nearest >= 0
        pairs = zip(queries.number[missed].tolist(), queries.nearest[missed].tolist(), strict=True)
        misses.update(pairs)
    classes = [
        ClassScores(
            number,
            images[number],
            len(values),
            float(np.mean(values)),
            float(np.mean(recall[number])),
            float(np.std(values, ddof=1)) if len(values) > 1 else None,
        )
        for number, values in precision.items()
    ]
    confusions = []
    for (number, nearest), count in misses.items():
        # A class of the gallery alone is tested wherever it can be found.
        both = sum(number in has and (nearest in has or nearest not in images) for has in tested)
        confusions.append(Confusion(number, nearest, count / both, count / both / images[number]))
    return (
        tuple(sorted(classes, key=lambda one: (-one.map_at_r, one.number))),
        tuple(sorted(confusions, key=lambda one: (-one.queries, -one.share, one.number,
                                                  one.nearest))),
    )  # fmt: skip
