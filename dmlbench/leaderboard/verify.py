"""Does a leaderboard hold what it claims? Everything is checked anew, and what fails is named."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.agreement import (
    Agreement,
    agreement,
    different_metrics,
    reproduced_together,
)
from dmlbench.leaderboard.attestation import (
    Attestation,
    AttestedTrial,
    attestation_files,
    now,
    read_attestations,
    write_attestation,
)
from dmlbench.leaderboard.between import clashes, label_clashes
from dmlbench.leaderboard.checks import Failure, check_entry
from dmlbench.leaderboard.claim import claim_files, read_claim
from dmlbench.leaderboard.entry import Entry, Metrics, Trial
from dmlbench.leaderboard.ground_truth import GroundTruth, GroundTruths
from dmlbench.leaderboard.labels import Labels
from dmlbench.leaderboard.metrics import metric_title, metric_value
from dmlbench.leaderboard.recompute import (
    StoredEmbeddings,
    recompute,
    same_machine,
    stored_embeddings,
    threads_of,
)
from dmlbench.leaderboard.store import entry_files, leaderboard_folders, read_entry
from dmlbench.leaderboard.tiers import TIERS, Standing, Tiers, recomputed, tier

# Numbers are stored with all their digits, and nothing is rounded otherwise on such a machine.
SAME_MACHINE_TOLERANCE = 1e-9

__all__ = ["TIERS", "Standing", "Tiers", "Verified", "tier", "verify"]


@dataclass
class Verified:
    """What was found of one file.

    entry: None where the file could not be read as one, or is a claim or an attestation.
    tier: as it holds now.
    recomputed: seed -> metrics from the embeddings that lie here.
    notes: what a reader should know and is no failure.
    """

    path: Path
    entry: Entry | None = None
    label: str = ""
    tier: str | None = None
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recomputed: dict[int, Metrics] = field(default_factory=dict)
    labels_sha256: str | None = None
    fingerprint: str | None = None

    def fail(self, check: str, message: str) -> None:
        failure = Failure(check, message)
        if failure not in self.failures:
            self.failures.append(failure)


def verify(
    target: str | Path,
    *,
    embeddings: bool = True,
    rebuild: bool = False,
    watch: Callable[[Verified], None] = lambda found: None,
) -> list[Verified]:
    """Verify the entries under a folder, or those of one file's, every file's alone and together.

    embeddings: compute the metrics again from the stored embeddings, where they lie here.
    rebuild: build every dataset that is on this machine, to compare labels and fingerprints with;
        without it only those that come with dmlbench are.
    watch: called with each file when it is done, apart from what concerns several.
    Raises `UsageError` if there is no such folder.
    """
    target = Path(target)
    truths = GroundTruths(everything=rebuild)
    found: list[Verified] = []
    for leaderboard in [target.parent] if target.is_file() else leaderboard_folders(target):
        board = [_read(path) for path in entry_files(leaderboard)]
        entries = [v for v in board if v.entry is not None]
        for verified, label in zip(entries, _labels([v.entry for v in entries]), strict=True):
            verified.label = label
        chosen = [v for v in board if target.is_dir() or v.path.resolve() == target.resolve()]
        for verified in chosen:
            if verified.entry is not None:
                _verify_one(verified, truths, embeddings)
            watch(verified)
        _verify_between(entries)
        attestations = attestation_files(leaderboard)
        standing = Tiers(leaderboard).standing
        for verified in chosen:
            if verified.entry is not None:
                _verify_attestations(verified, attestations.get(verified.entry.entry_id, []))
                if not embeddings and not verified.failures:
                    verified.tier = standing(verified.entry).tier
        if target.is_dir():
            known = {v.entry.entry_id for v in entries}
            for entry_id, paths in attestations.items():
                if entry_id not in known:
                    found += [_stray(path) for path in paths]
            found += map(_verify_claim, claim_files(leaderboard))
        found += chosen
    return found


def attest(verified: Verified, who: str) -> Path | None:
    """Record that an entry's metrics were computed again.

    None where not all of them were, or `who` has recorded so before.
    """
    entry = verified.entry
    if entry is None or verified.failures:
        return None
    if {trial.seed for trial in entry.completed} != verified.recomputed.keys() or not entry.trials:
        return None
    recorded, _ = read_attestations(
        attestation_files(verified.path.parent).get(entry.entry_id, [])
    )
    content = entry.content_sha256()
    for attestation in recorded:
        if attestation.who == who and attestation.is_of(entry, content):
            if recomputed(entry, attestation):
                return None
    from dmlbench.sources import source_sha256
    from dmlbench.version import __version__

    attestation = Attestation(
        schema_version=1,
        kind="recomputed",
        entry_id=entry.entry_id,
        entry_sha256=content,
        who=who,
        made=now(),
        dmlbench_version=__version__,
        code_sha256=source_sha256("dmlbench.evaluate.retrieval"),
        fingerprint=verified.fingerprint,
        trials=[
            AttestedTrial(
                seed=trial.seed,
                metrics=verified.recomputed[trial.seed],
                reason=None,
                embeddings_sha256=trial.embeddings.sha256,
                environment={},
            )
            for trial in entry.completed
        ],
    )
    return write_attestation(verified.path.parent, attestation)


def _read(path: Path) -> Verified:
    verified = Verified(path)
    try:
        verified.entry = read_entry(path)
    except VerificationError as error:
        verified.fail("schema", str(error).removeprefix(f"{path}").lstrip(": "))
    return verified


def _verify_claim(path: Path) -> Verified:
    verified = Verified(path)
    try:
        verified.label = read_claim(path).label
        verified.tier = "claimed"
    except VerificationError as error:
        verified.fail("schema", str(error).removeprefix(f"{path}").lstrip(": "))
    return verified


def _stray(path: Path) -> Verified:
    return Verified(path, notes=["an attestation of an entry that is not here"])


def _labels(entries: list[Entry]) -> list[str]:
    labels = Labels(entries)
    return [labels.row(entry) for entry in entries]


def _verify_one(verified: Verified, truths: GroundTruths, embeddings: bool) -> None:
    """The checks of the entry alone, its dataset, and its metrics from its embeddings."""
    entry = verified.entry
    verified.failures += check_entry(entry)
    truth = truths.of(entry)
    if isinstance(truth, str):
        verified.notes.append(truth)
        truth = None
    if truth is not None:
        verified.fingerprint = truth.fingerprint
        if truth.fingerprint != entry.dataset.fingerprint:
            verified.fail(
                "fingerprint",
                f"the dataset, built here, has the fingerprint {truth.fingerprint[:12]}; the "
                f"entry's is {entry.dataset.fingerprint[:12]}",
            )
    if not embeddings:
        return
    absent = []
    for trial in entry.completed:
        try:
            stored = stored_embeddings(entry, trial, verified.path.parent)
            if stored is None:
                absent.append(trial.seed)
                continue
            _verify_labels(verified, trial, stored, truth)
            again = recompute(
                stored,
                map(int, trial.metrics.recall_at),
                threads_of(trial),
                cluster=trial.metrics.nmi is not None,
            )
        except VerificationError as error:
            verified.fail("embeddings", str(error))
            continue
        differing = list(_different(trial, again))
        for message in differing:
            verified.fail("metrics", message)
        if not differing:
            verified.recomputed[trial.seed] = again
    if absent:
        seeds = ", ".join(map(str, absent))
        verified.notes.append(f"no embeddings here to compute metrics from: seeds {seeds}")


def _different(trial: Trial, again: Metrics) -> Iterator[str]:
    within = SAME_MACHINE_TOLERANCE if same_machine(trial) else None
    for metric in different_metrics(trial.metrics, again, within):
        if metric in ("num_queries", "recall_at"):
            yield f"seed {trial.seed}: the embeddings give other queries or other K"
            continue
        yield (
            f"{metric_title(metric)} of seed {trial.seed} is "
            f"{metric_value(trial.metrics, metric):.6f} in the entry; its embeddings give "
            f"{metric_value(again, metric):.6f}"
        )


def _verify_labels(
    verified: Verified, trial: Trial, stored: StoredEmbeddings, truth: GroundTruth | None
) -> None:
    """The labels beside the embeddings are the dataset's, and the same for every seed."""
    parts = [stored.labels, *([] if stored.gallery is None else [stored.gallery_labels])]
    found = hashlib.sha256(b"|".join(part.tobytes() for part in parts)).hexdigest()
    if verified.labels_sha256 not in (None, found):
        verified.fail("labels", f"seed {trial.seed} has other test labels than the seeds before")
    verified.labels_sha256 = verified.labels_sha256 or found
    if truth is None:
        return
    pairs = [("test", stored.labels, truth.labels)]
    if truth.gallery_labels is not None and stored.gallery is not None:
        pairs.append(("gallery", stored.gallery_labels, truth.gallery_labels))
    for name, ours, theirs in pairs:
        if not np.array_equal(ours, theirs):
            verified.fail(
                "labels",
                f"the {name} labels of seed {trial.seed} are not the dataset's in its order: they "
                f"differ at {int((ours != theirs).sum())} of {len(ours)} items",
            )


def _verify_between(entries: list[Verified]) -> None:
    read = [v.entry for v in entries]
    names = [v.path.name for v in entries]
    hashes = {i: v.labels_sha256 for i, v in enumerate(entries) if v.labels_sha256}
    for clash in (*clashes(read, names), *label_clashes(hashes, read, names)):
        for i in clash.entries:
            if clash.failure is not None:
                entries[i].fail(*clash.failure)
            elif clash.note and clash.note not in entries[i].notes:
                entries[i].notes.append(clash.note)


def _verify_attestations(verified: Verified, paths: list[Path]) -> None:
    """Judge what others attested, and give the tier that holds now."""
    entry = verified.entry
    attested, problems = read_attestations(paths)
    for problem in problems:
        verified.fail("attestation", problem)
    content = entry.content_sha256()
    seeds = {trial.seed for trial in entry.completed}
    again: list[tuple[Attestation, Agreement]] = []
    held = "recomputed" if seeds and verified.recomputed.keys() == seeds else "checked"
    for attestation in attested:
        of = f"{attestation.kind} by {attestation.who} on {attestation.made[:10]}"
        if not attestation.is_of(entry, content):
            verified.notes.append(f"void, for the entry was changed since: {of}")
        elif attestation.kind == "recomputed":
            if recomputed(entry, attestation):
                held = max(held, "recomputed", key=TIERS.index)
                verified.notes.append(of)
            else:
                verified.fail("attestation", f"{of}: its numbers are not the entry's")
        else:
            outcome = agreement(entry, attestation)
            again.append((attestation, outcome))
            verified.notes.append(f"{of}: {outcome.sentence}")
    reproduced, part = reproduced_together(entry, again)
    if reproduced:
        held = "reproduced"
    elif part is not None:
        verified.notes.append(part)
    if verified.failures:
        held = "claimed" if check_entry(entry) else "checked"
    verified.tier = held
