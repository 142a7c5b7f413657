"""Cluster quality of embeddings: NMI and AMI of a seeded k-means.

Legend: N items, D dimension, C clusters.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from dmlbench.evaluate.inputs import as_embeddings, as_labels, finite, normalise

ITERATIONS = 20
RESTARTS = 1
_MAX_SEED = 2**31 - 1


class FaissMissing(ImportError):
    """NMI and AMI were asked for, and faiss, whose k-means the protocol fixes, is not there.

    cause: why an installed one cannot be imported.
    """

    def __init__(self, cause: str | None = None) -> None:
        state = f"cannot be imported ({cause})" if cause else "is not installed"
        super().__init__(
            f"NMI and AMI need faiss, which {state}. Install one of the two: "
            "pip install 'dmlbench[cpu]' or pip install 'dmlbench[gpu]'. "
            "Retrieval metrics do not need it.",
            name="faiss",
        )


@dataclass(frozen=True)
class ClusteringResult:
    """How well a k-means of the embeddings agrees with the classes.

    nmi, ami: normalised and adjusted mutual information, arithmetic average.
    num_clusters: C. algorithm: what made the clusters, as an entry records it.
    """

    nmi: float
    ami: float
    num_clusters: int
    algorithm: str


def clustering(
    embeddings: Any,
    labels: Any,
    *,
    seed: int = 0,
    num_clusters: int | None = None,
    metric: str = "cosine",
    device: Any = None,
) -> ClusteringResult:
    """Cluster embeddings, L2-normalised by default, by k-means and compare with the classes.

    embeddings: (N, D) tensor or array, real; float64 is rounded to float32, faiss's precision.
    labels: (N,) integers.
    seed: of the initial centroids, 0 to 2³¹ − 1. The same seed gives the same clusters on a CPU.
    metric: "cosine", or "euclidean" to cluster the embeddings as they are.
    num_clusters: C, at most N; by default the number of distinct labels.
    device: "cuda" to run k-means on the GPUs that faiss sees, if it sees any; else the CPU.

    Raises `FaissMissing` without faiss, ValueError on embeddings or labels that cannot be scored.

    NMI = I(Y; C) / ((H(Y) + H(C)) / 2); AMI subtracts the expectation of I from both (Vinh et
    al., Information theoretic measures for clusterings comparison, JMLR 2010).

        >>> found = clustering([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], [0, 0, 1, 1])
        >>> found.nmi, found.ami, found.num_clusters
        (1.0, 1.0, 2)
    """
    from sklearn.metrics import adjusted_mutual_info_score, normalized_mutual_info_score

    rows = as_embeddings(embeddings, "embeddings")
    classes = as_labels(labels, "labels", len(rows))
    if num_clusters is None:
        num_clusters = len(np.unique(classes))
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric is {metric!r}; it must be 'cosine' or 'euclidean'.")
    if not 1 <= num_clusters <= len(rows):
        raise ValueError(f"num_clusters is {num_clusters}; it must be 1 to N = {len(rows)}.")
    if not 0 <= seed <= _MAX_SEED:
        raise ValueError(f"seed is {seed}; it must be 0 to {_MAX_SEED}.")
    assignment, algorithm = _kmeans(rows, num_clusters, seed, metric, device)
    return ClusteringResult(
        nmi=float(normalized_mutual_info_score(classes, assignment, average_method="arithmetic")),
        ami=float(adjusted_mutual_info_score(classes, assignment, average_method="arithmetic")),
        num_clusters=num_clusters,
        algorithm=algorithm,
    )


def _kmeans(
    rows: np.ndarray, num_clusters: int, seed: int, metric: str, device: Any
) -> tuple[np.ndarray, str]:
    """Cluster ids (N,) of seeded k-means, and the algorithm's name."""
    faiss = _faiss()
    positions = np.arange(len(rows))
    if metric == "cosine":
        points = normalise(rows, np.dtype(np.float32), "embeddings", positions)
    else:
        points = finite(rows, np.dtype(np.float32), "embeddings", positions)
    gpu = device is not None and "cuda" in str(device) and _num_gpus(faiss) > 0
    kmeans = faiss.Kmeans(
        points.shape[1],
        num_clusters,
        niter=ITERATIONS,
        nredo=RESTARTS,
        seed=seed,
        gpu=gpu,
        # Every item takes part, and small clusters are no reason to warn.
        min_points_per_centroid=1,
        max_points_per_centroid=len(points),
    )
    kmeans.train(points)
    assignment = kmeans.index.search(points, 1)[1][:, 0]
    place = "gpu" if gpu else "cpu"
    algorithm = (
        f"faiss {faiss.__version__} k-means on {place}: niter={ITERATIONS}, nredo={RESTARTS}, "
        f"seed={seed}, {'L2-normalised ' if metric == 'cosine' else ''}float32"
    )
    return assignment, algorithm


def _faiss() -> ModuleType:
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise FaissMissing(None if error.name == "faiss" else str(error)) from error
    except ImportError as error:
        raise FaissMissing(str(error)) from error
    _warn_of_two_faiss()
    return faiss


def _num_gpus(faiss: ModuleType) -> int:
    """The GPUs that faiss can use: none where it was built without any."""
    if not hasattr(faiss, "index_cpu_to_all_gpus"):
        return 0
    return getattr(faiss, "get_num_gpus", int)()


@functools.cache
def _warn_of_two_faiss() -> None:
    conflict = two_faiss()
    if conflict:
        warnings.warn(conflict, stacklevel=4)


def obstacles() -> list[str]:
    """What prevents NMI and AMI here, in sentences; faiss is looked for, not loaded."""
    if importlib.util.find_spec("faiss") is None:
        return [str(FaissMissing())]
    conflict = two_faiss()
    return [conflict] if conflict else []


def two_faiss() -> str | None:
    """What to do where two distributions wrote the same faiss folder, if two did."""
    # Their folders' names are looked at first: to read the metadata of all that is installed takes
    # a tenth of a second, in each trial.
    installed = (
        importlib.metadata.Distribution.at(path).metadata["Name"]
        for folder in sys.path
        for path in Path(folder).glob("faiss*-info")
    )
    names = sorted(
        {
            name.lower()
            for name in installed
            if name and re.fullmatch(r"faiss[-_.](cpu|gpu)([-_.].*)?", name.lower())
        }
    )
    if len(names) < 2:
        return None
    return (
        f"{' and '.join(names)} are both installed and overwrite each other's files: which "
        "of them runs depends on the order of installation. Uninstall all of them, then "
        "install one: pip install 'dmlbench[cpu]' or pip install 'dmlbench[gpu]'."
    )
