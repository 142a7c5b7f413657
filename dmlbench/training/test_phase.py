"""What happens after training: the chosen state sees the test images once, and is scored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch

from dmlbench.evaluate.clustering import ClusteringResult, FaissMissing, clustering
from dmlbench.evaluate.metrics import metric_values
from dmlbench.evaluate.retrieval import retrieval
from dmlbench.files import write_atomically
from dmlbench.training import heartbeat
from dmlbench.training.build import Emit
from dmlbench.training.embed_splits import Subject, embed_splits
from dmlbench.training.failures import own_work
from dmlbench.training.trained import Trained
from dmlbench.training.trial_folder import TrialFolder


def test_phase(
    subject: Subject,
    dataset: Any,
    trained: Trained,
    folder: TrialFolder,
    emit: Emit,
    cluster: bool,
) -> dict[str, Any]:
    """Embed and score the test classes, once; the part of a trial's record that comes of it.

    dataset: with its test images and, where it has one, its gallery.
    trained: what the training left. cluster: whether to compute NMI and AMI.
    Raises `TrialFailure` where embeddings are not finite or depend on their batch.
    """
    started = time.perf_counter()
    built = subject.built(emit)
    tensors = embed_splits(subject, built, dataset)
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
    with own_work():
        weights = built.parts.combiner.weights()
    return {
        "status": "completed",
        "reason": None,
        "failed_step": None,
        **trained.course,
        "metrics": metric_values(scores, clusters),
        "weights": None if weights is None else weights.double().tolist(),
        "embeddings": {
            "path": str(folder.embeddings_file.relative_to(folder.out)),
            "sha256": hashlib.sha256(content).hexdigest(),
            "num_bytes": len(content),
        },
        "cost": {**trained.cost, "evaluate_seconds": time.perf_counter() - started},
    }


def _cluster(tensors: Mapping[str, torch.Tensor], similarity: str) -> ClusteringResult | None:
    """The quality of clusters, None where faiss is missing."""
    try:
        return clustering(tensors["embeddings"], tensors["labels"], metric=similarity)
    except FaissMissing:
        return None
