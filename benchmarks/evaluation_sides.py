"""The test sets of `evaluation.py`, and the sides that score or search them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK = 1024  # queries of a product, and of a search


@dataclass(frozen=True)
class Size:
    """A test set: classes of the sizes that the published one has, about.

    num_gallery: 0 where every item is query and gallery. noise: spread of a class, so that
    Recall@1 is near what the field reports. pml_bytes: what its calculator was seen to need.
    """

    num_queries: int
    num_gallery: int
    num_classes: int
    width: int
    ks: tuple[int, ...]
    noise: float
    pml_bytes: float


SIZES = {
    "cub": Size(5_924, 0, 100, 512, (1, 2, 4, 8), 5.0, 0.6e9),
    "in-shop": Size(14_218, 12_612, 3_985, 512, (1, 10, 20, 30), 3.5, 1.5e9),
    "sop-128": Size(60_502, 0, 11_316, 128, (1, 10, 100, 1000), 1.6, 6.5e9),
    "sop-512": Size(60_502, 0, 11_316, 512, (1, 10, 100, 1000), 3.2, 6.7e9),
}


@dataclass(frozen=True)
class Data:
    """Unit vectors (N, D) float32 and labels (N,); gallery None where the others are searched."""

    queries: np.ndarray
    labels: np.ndarray
    gallery: np.ndarray | None
    gallery_labels: np.ndarray | None

    @property
    def searched(self) -> np.ndarray:
        return self.queries if self.gallery is None else self.gallery


def make_data(size: Size) -> Data:
    """Gaussian clusters around random centres, shuffled; the same every time."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(size.num_classes, size.width)).astype(np.float32)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        # Two of every class, the rest as chance has it: 2 to 14 where the mean is 5.3.
        twice = np.tile(np.arange(size.num_classes), 2)
        rest = rng.integers(0, size.num_classes, max(0, count - len(twice)))
        labels = rng.permutation(np.concatenate([twice, rest])[:count])
        rows = rng.standard_normal((count, size.width), np.float32)
        rows *= size.noise
        rows += centres[labels]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows, labels

    queries = draw(size.num_queries)
    return Data(*queries, *(draw(size.num_gallery) if size.num_gallery else (None, None)))


def floors(data: Data) -> dict[str, Callable[..., None]]:
    """The product of all queries, or the first few, with all items, CHUNK rows at a time."""
    import torch

    queries, items = data.queries, data.searched
    out = np.empty((CHUNK, len(items)), np.float32)
    as_torch = [torch.from_numpy(part) for part in (queries, items, out)]

    def with_numpy(count: int = len(queries)) -> None:
        for start in range(0, count, CHUNK):
            rows = queries[start : start + CHUNK]
            np.matmul(rows, items.T, out=out[: len(rows)])

    def with_torch(count: int = len(queries)) -> None:
        for start in range(0, count, CHUNK):
            rows = as_torch[0][start : start + CHUNK]
            torch.matmul(rows, as_torch[1].T, out=as_torch[2][: len(rows)])

    return {"numpy": with_numpy, "torch": with_torch}


def ours(data: Data, size: Size) -> Any:
    from dmlbench.evaluate import retrieval

    return retrieval(data.queries, data.labels, data.gallery, data.gallery_labels, ks=size.ks)


def search(data: Data) -> None:
    """Only the neighbours, of which metrics would still have to be made."""
    import faiss

    index = faiss.IndexFlatIP(data.queries.shape[1])
    index.add(data.searched)
    labels = data.labels if data.gallery is None else data.gallery_labels
    depth = int(np.bincount(labels).max())
    for start in range(0, len(data.queries), CHUNK):
        index.search(data.queries[start : start + CHUNK], depth)


def others(data: Data) -> dict[str, float]:
    import faiss  # noqa: F401  what it searches with by default
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(
        include=("precision_at_1", "r_precision", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity(), batch_size=CHUNK),
        device=torch.device("cpu"),
    )
    given = [data.queries, data.labels]
    if data.gallery is not None:
        given += [data.gallery, data.gallery_labels]
    return calculator.get_accuracy(*(torch.from_numpy(part) for part in given))
