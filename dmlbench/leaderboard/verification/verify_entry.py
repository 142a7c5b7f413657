"""One entry verified: its checks, its place, its dataset, its metrics from its embeddings."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.files import resolved
from dmlbench.leaderboard.entries.dataset_metadata import DatasetMetadata
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.metrics import metric_title, metric_value
from dmlbench.leaderboard.entries.trial import Metrics, Trial
from dmlbench.leaderboard.verification.agreement import covers
from dmlbench.leaderboard.verification.bundle_reading import Bundle
from dmlbench.leaderboard.verification.checks import Failure, check_entry
from dmlbench.leaderboard.verification.ground_truth import GroundTruth, GroundTruths
from dmlbench.leaderboard.verification.metric_differences import different_metrics
from dmlbench.leaderboard.verification.recompute import (
    StoredEmbeddings,
    recompute,
    same_machine,
    stored_embeddings,
    threads_of,
)

# Numbers are stored with all their digits, and nothing is rounded otherwise on such a machine.
SAME_MACHINE_TOLERANCE = 1e-9


@dataclass
class Verified:
    """What was found of one file.

    entry: None where the file could not be read as one, or is a published result or an attestation.
    tier: as it holds now.
    recomputed: (split, seed) -> metrics from the embeddings that are here.
    notes: what a reader should know, but is not a failure.
    labels_sha256: of the test labels beside the embeddings, by class split.
    """

    path: Path
    entry: Entry | None = None
    label: str = ""
    tier: str | None = None
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recomputed: dict[tuple[int, int], Metrics] = field(default_factory=dict)
    labels_sha256: dict[int, str] = field(default_factory=dict)
    fingerprint: str | None = None

    def fail(self, check: str, message: str) -> None:
        failure = Failure(check, message)
        if failure not in self.failures:
            self.failures.append(failure)


def _verify_place(verified: Verified) -> None:
    """An entry is stored where its content says: the tables of a folder are of one dataset."""
    entry = verified.entry
    expected = (entry.protocol.name, entry.dataset.name)
    place = resolved(verified.path).parts[-3:-1]
    if place != expected:
        verified.fail(
            "place",
            f"it is in {'/'.join(place)}; an entry on {expected[1]} under {expected[0]} belongs in "
            f"{'/'.join(expected)}, where `dmlbench leaderboard add` puts it",
        )


def verify_one(
    verified: Verified, truths: GroundTruths, embeddings: bool, bundle: Bundle | None = None
) -> None:
    """The checks of the entry alone, its dataset, and its metrics from its embeddings.

    bundle: has embeddings that are not beside the leaderboard.
    """
    entry = verified.entry
    verified.failures += check_entry(entry)
    _verify_place(verified)
    if not embeddings:
        return
    own = _truth(verified, truths, 0, entry.dataset)
    verified.fingerprint = own.fingerprint if own else None
    absent, unclustered, rounded = [], [], []
    for trial in entry.completed:
        try:
            data = entry.data_of(trial)
            # Without embeddings too: a split that was renamed has another's fingerprint.
            truth = _truth(verified, truths, trial.split, data) if trial.split else own
            stored = stored_embeddings(entry, trial, verified.path.parent, bundle)
            if stored is None:
                absent.append(trial.number)
                continue
            _verify_labels(verified, trial, stored, truth)
            again = recompute(
                stored,
                map(int, trial.metrics.recall_at),
                threads_of(trial),
                cluster=trial.metrics.clustered,
            )
        except VerificationError as error:
            verified.fail("embeddings", str(error))
            continue
        differing = list(_different(trial, again))
        for message in differing:
            verified.fail("metrics", message)
        if not covers(again, trial.metrics):
            unclustered.append(trial.number)
        elif not differing:
            verified.recomputed[trial.key] = again
            if different_metrics(trial.metrics, again, within=SAME_MACHINE_TOLERANCE):
                rounded.append(trial.number)
    if absent:
        here = "here" if bundle is None else "here or in the bundle"
        verified.notes.append(
            f"no embeddings {here} to compute metrics from: seeds {', '.join(absent)}"
        )
    if unclustered:
        verified.notes.append(
            f"NMI and AMI were not recomputed because faiss is missing (pip install "
            f"'dmlbench[cpu]'): seeds {', '.join(unclustered)}"
        )
    if rounded:
        verified.notes.append(
            f"equal up to what another processor or other packages may round: "
            f"seeds {', '.join(rounded)}"
        )


def _truth(
    verified: Verified, truths: GroundTruths, split: int, data: DatasetMetadata
) -> GroundTruth | None:
    """What the dataset itself says of a class split, where it can be built here."""
    try:
        truth, note = truths.of(verified.entry, split)
    except VerificationError as error:
        verified.fail("fingerprint", str(error))
        return None
    if note and note not in verified.notes:
        verified.notes.append(note)
    if truth is not None and truth.fingerprint != data.fingerprint:
        of = f"split {split} of the dataset" if split else "the dataset"
        verified.fail(
            "fingerprint",
            f"{of}, built here, has the fingerprint {truth.fingerprint[:12]}; the "
            f"entry's is {data.fingerprint[:12]}",
        )
    return truth


def _different(trial: Trial, again: Metrics) -> Iterator[str]:
    within = SAME_MACHINE_TOLERANCE if same_machine(trial) else None
    for metric in different_metrics(trial.metrics, again, within):
        if metric in ("num_queries", "recall_at"):
            yield f"{trial.title}: the embeddings give other queries or other K"
            continue
        yield (
            f"{metric_title(metric)} of {trial.title} is "
            f"{metric_value(trial.metrics, metric):.6f} in the entry; its embeddings give "
            f"{metric_value(again, metric):.6f}"
        )


def _verify_labels(
    verified: Verified, trial: Trial, stored: StoredEmbeddings, truth: GroundTruth | None
) -> None:
    """The labels beside the embeddings are the split's, and the same for every seed."""
    parts = [stored.labels, *([] if stored.gallery is None else [stored.gallery_labels])]
    found = hashlib.sha256(b"|".join(part.tobytes() for part in parts)).hexdigest()
    if verified.labels_sha256.setdefault(trial.split, found) != found:
        verified.fail("labels", f"{trial.title} has other test labels than the seeds before")
    if truth is None:
        return
    pairs = [("test", stored.labels, truth.labels)]
    if truth.gallery_labels is not None and stored.gallery is not None:
        pairs.append(("gallery", stored.gallery_labels, truth.gallery_labels))
    if truth.classes is not None:
        pairs.append(("class", stored.classes, truth.classes))
    for name, ours, theirs in pairs:
        if not np.array_equal(ours, theirs):
            verified.fail(
                "labels",
                f"the {name} labels of {trial.title} are not the dataset's in its order: they "
                f"differ at {int((ours != theirs).sum())} of {len(ours)} items",
            )
