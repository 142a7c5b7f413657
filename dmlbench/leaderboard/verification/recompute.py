"""Metrics again, from an entry's stored test embeddings: nothing in the entry is believed.

Legend: N test images, D dimension.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmlbench.errors import VerificationError
from dmlbench.files import file_sha256
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.trial import Metrics, Trial
from dmlbench.leaderboard.verification.bundle_reading import Bundle
from dmlbench.leaderboard.verification.tiers import embeddings_path, of_another_submission
from dmlbench.plan.protocol import similarity_of
from dmlbench.training.environment import processor, versions

_NAMES = {"embeddings", "labels"}
_GALLERY = {"gallery", "gallery_labels"}
# What decides how a product is rounded and where k-means ends.
_DECIDING_PACKAGES = ("numpy", "faiss-cpu", "faiss-gpu", "scikit-learn")


@dataclass(frozen=True)
class StoredEmbeddings:
    """A trial's test embeddings as they are on disk.

    embeddings: (N, D) float. labels: (N,) int64. gallery, gallery_labels: the same, or None.
    similarity: how the entry's protocol compares them, as `Protocol.similarity`.
    classes: (C,) int64, which of all classes of the dataset each label is, the same on all splits.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    gallery: np.ndarray | None
    gallery_labels: np.ndarray | None
    similarity: str = "cosine"
    classes: np.ndarray | None = None


def stored_embeddings(
    entry: Entry, trial: Trial, leaderboard: Path, bundle: Bundle | None = None
) -> StoredEmbeddings | None:
    """Read the embeddings of one trial; None if none, or only another submission's, are here.

    bundle: where to take them from if they are not beside the leaderboard.
    Raises `VerificationError` where the file is not the entry's, or not what the entry says.
    """
    artefact = trial.embeddings
    if artefact is None:
        return None
    where = f"the embeddings of {trial.title}"
    path = embeddings_path(leaderboard, artefact)
    if path is None:
        raise VerificationError(
            f"{where} are said to be at {plain(artefact.path)}, outside of the leaderboards"
        )
    if not path.exists():
        return _bundled(entry, trial, bundle)
    if not path.is_file():
        raise VerificationError(f"{where} at {path} are not a file")
    found = file_sha256(path)
    if found != artefact.sha256:
        if of_another_submission(entry, leaderboard, found):
            return _bundled(entry, trial, bundle)
        raise VerificationError(
            f"{where} at {path} are not the entry's: sha256 {found[:12]}, the entry says "
            f"{artefact.sha256[:12]}"
        )
    return _checked(_read(path, where), entry, trial, where)


def _bundled(entry: Entry, trial: Trial, bundle: Bundle | None) -> StoredEmbeddings | None:
    data = bundle.read(trial.embeddings) if bundle is not None else None
    if data is None:
        return None
    where = f"the embeddings of {trial.title} in the bundle"
    return _checked(_read(data, where), entry, trial, where)


def recompute(
    stored: StoredEmbeddings, ks: Iterable[int], threads: int = 1, cluster: bool = True
) -> Metrics:
    """All metrics of the protocol from embeddings, with as many threads as the trial had.

    ks: the K of Recall@K. cluster: whether to compute NMI and AMI.
    Raises `VerificationError` for embeddings that cannot be scored.
    """
    from dmlbench.evaluate.clustering import FaissMissing, clustering
    from dmlbench.evaluate.metrics import metric_values
    from dmlbench.evaluate.retrieval import retrieval

    with _threads(threads):
        try:
            scores = retrieval(
                stored.embeddings,
                stored.labels,
                gallery=stored.gallery,
                gallery_labels=stored.gallery_labels,
                ks=ks,
                metric=stored.similarity,
            )
            clusters = None
            if cluster:
                with contextlib.suppress(FaissMissing):
                    clusters = clustering(
                        stored.embeddings, stored.labels, metric=stored.similarity
                    )
        except ValueError as error:
            raise VerificationError(f"the embeddings cannot be scored: {error}") from error
    return Metrics(**metric_values(scores, clusters))


def same_machine(trial: Trial) -> bool:
    """Whether a trial ran on a processor and packages like these, so digits must match."""
    environment = trial.environment
    packages = environment.get("packages")
    if environment.get("device") != "cpu" or not isinstance(packages, dict):
        return False
    here = versions()
    return environment.get("processor") == processor() and all(
        packages.get(name) == here.get(name) for name in _DECIDING_PACKAGES
    )


def threads_of(trial: Trial) -> int:
    """How many threads a trial had; 1 where its environment does not say."""
    threads = trial.environment.get("threads")
    return threads if isinstance(threads, int) and 1 <= threads <= 1024 else 1


def _read(source: Path | bytes, where: str) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load, load_file

    try:
        return load(source) if isinstance(source, bytes) else load_file(source)
    except (SafetensorError, TypeError, ValueError, KeyError) as error:
        raise VerificationError(
            f"{where} are not a safetensors file: {plain(str(error))}"
        ) from error


def _checked(tensors: dict[str, Any], entry: Entry, trial: Trial, where: str) -> StoredEmbeddings:
    dataset = entry.data_of(trial)
    asked = _NAMES | (_GALLERY if dataset.num_gallery_images else set())
    asked |= {"classes"} if trial.split else set()
    if set(tensors) != asked:
        raise VerificationError(
            f"{where} hold {plain(', '.join(sorted(tensors)))}; asked for are "
            f"{', '.join(sorted(asked))}"
        )
    sizes = {"embeddings": dataset.num_test_images, "gallery": dataset.num_gallery_images}
    sizes["classes"] = dataset.num_test_classes
    for name in sorted(asked):
        array = tensors[name]
        num = sizes["gallery" if name in _GALLERY else name.replace("labels", "embeddings")]
        is_labels = name.endswith("labels") or name == "classes"
        shape = (num,) if is_labels else (num, entry.embedding_dim)
        if array.shape != shape or (array.dtype != np.int64) is is_labels:
            raise VerificationError(
                f"{where}: {name} are {array.dtype} {array.shape}; the entry asks for "
                f"{'int64' if is_labels else 'real numbers'} {shape}"
            )
    num_classes = len(np.unique(tensors["labels"]))
    if dataset.num_gallery_images == 0 and num_classes != dataset.num_test_classes:
        raise VerificationError(
            f"{where} have labels of {num_classes} classes; the dataset has "
            f"{dataset.num_test_classes} test classes"
        )
    return StoredEmbeddings(
        tensors["embeddings"],
        tensors["labels"],
        tensors.get("gallery"),
        tensors.get("gallery_labels"),
        similarity_of(entry.protocol.rules),
        _classes(tensors, entry, where),
    )


def _classes(tensors: dict[str, Any], entry: Entry, where: str) -> np.ndarray:
    """Which of all classes each label is: on the dataset's own split those behind its training."""
    before, of_test = entry.dataset.num_train_classes, entry.dataset.num_test_classes
    if "classes" not in tensors:
        return np.arange(before, before + of_test)
    classes = tensors["classes"]
    different = len(np.unique(classes)) == len(classes)
    if not different or classes.min() < 0 or classes.max() >= before + of_test:
        raise VerificationError(
            f"{where} do not say which of the {before + of_test} classes of the dataset each is"
        )
    return classes


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    import threadpoolctl

    with threadpoolctl.threadpool_limits(count):
        yield
