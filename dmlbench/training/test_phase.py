"""What happens after training: the chosen state sees the test images once, and is scored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch

from dmlbench.data.class_splits import ClassSplit
from dmlbench.data.images import image_sets
from dmlbench.errors import TrialFailure
from dmlbench.evaluate.clustering import ClusteringResult, FaissMissing, clustering
from dmlbench.evaluate.metrics import metric_values
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.files import write_atomically
from dmlbench.training import heartbeat
from dmlbench.training.build import Emit
from dmlbench.training.data_source import DataSource
from dmlbench.training.embed_splits import EmbeddedSplits, Subject, embed_splits
from dmlbench.training.trained import Trained
from dmlbench.training.trial_folder import TrialFolder


def test_phase(
    subject: Subject,
    scoring: DataSource,
    trained: Trained,
    folder: TrialFolder,
    emit: Emit,
    cluster: bool,
) -> dict[str, Any]:
    """Embed and score the test classes, once; the part of a trial's record that comes of it.

    scoring: of the same data, for their labels: components run in other processes.
    trained: what the training left. cluster: whether to compute NMI and AMI.
    Raises `TrialFailure` where embeddings are not finite or depend on their batch, or are wider
    than the training said.
    """
    started = time.perf_counter()
    embedded = embed_splits(subject, emit)
    heartbeat.enter("loading data", patient=True)
    tensors = _labelled(embedded, scoring.whole(), trained.metadata["embedding_dim"])
    gallery = {name: tensors[name] for name in ("gallery", "gallery_labels") if name in tensors}
    heartbeat.enter("computing metrics", patient=True)
    similarity = subject.configuration.protocol.similarity
    scores = retrieval(
        tensors["embeddings"],
        tensors["labels"],
        ks=subject.configuration.protocol.recall_at,
        metric=similarity,
        device=subject.device,
        **gallery,
    )
    clusters = _cluster(tensors, similarity) if cluster else None
    content = safetensors.torch.save(tensors)
    write_atomically(folder.embeddings_file, lambda file: file.write(content))
    return {
        "status": "completed",
        "reason": None,
        "failed_step": None,
        **trained.course,
        "metrics": metric_values(scores, clusters),
        "weights": embedded.weights,
        "embeddings": {
            "path": str(folder.embeddings_file.relative_to(folder.out)),
            "sha256": hashlib.sha256(content).hexdigest(),
            "num_bytes": len(content),
        },
        "cost": {**trained.cost, "evaluate_seconds": time.perf_counter() - started},
        "peak": embedded.peak,
    }


def _labelled(embedded: EmbeddedSplits, dataset: Any, width: int) -> dict[str, torch.Tensor]:
    """``embeddings`` (N, D) and ``labels`` (N,), and the same of a gallery, (G, D) and (G,).

    Of a random class split also ``classes`` (C,), as `ClassSplit.test_classes`.
    """
    tensors = {}
    for split, given in image_sets(dataset):
        if split == "train":
            continue
        found = embedded.embeddings.get(split)
        if found is None or found.shape != (len(given), width) or found.dtype != torch.float32:
            got = "nothing" if found is None else f"{found.dtype} {tuple(found.shape)}"
            raise TrialFailure(
                f"{len(given)} {split} images should have float32 embeddings of {width} "
                f"dimensions, as the trained components said, and have {got}"
            )
        tensors["embeddings" if split == "test" else split] = found
        tensors["labels" if split == "test" else f"{split}_labels"] = torch.as_tensor(given.labels)
    if isinstance(dataset, ClassSplit):
        tensors["classes"] = torch.as_tensor(dataset.test_classes)
    return tensors


def _cluster(tensors: Mapping[str, torch.Tensor], similarity: str) -> ClusteringResult | None:
    """The quality of clusters, None where faiss is missing."""
    try:
        return clustering(tensors["embeddings"], tensors["labels"], metric=similarity)
    except FaissMissing:
        return None
