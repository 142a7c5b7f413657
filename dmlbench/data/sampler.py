"""The batches of an epoch: P classes with K images each, or images at random."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np

from dmlbench.errors import UsageError


class ClassBalancedSampler:
    """Batches of P classes × K images; a pure function of its arguments and the epoch.

    In an epoch each class's images are shuffled and cut into groups of K; the last group is filled
    up from the class's other images (again from the same ones where the class has fewer than K).
    A batch takes one group of each of P classes, those with the most groups left first, so
    no class is left over at the end; if fewer than P classes have groups left, further classes are
    drawn at random. The batches then come in random order.

    labels: (N,), int64.
    classes: P, classes per batch.
    images: K, images per class in a batch.
    seed: decides the batches together with the epoch.
    Raises `UsageError` where there are fewer than P classes.
    """

    def __init__(self, labels: np.ndarray, classes: int, images: int, seed: int = 0) -> None:
        if classes < 1 or images < 1:
            raise UsageError(
                f"A batch needs at least 1 class and 1 image per class, not {classes} and {images}."
            )
        _, self._labels, self._sizes = np.unique(labels, return_inverse=True, return_counts=True)
        if len(self._sizes) < classes:
            raise UsageError(
                f"A batch of {classes} classes cannot be drawn from {len(self._sizes)} training "
                f"classes. Set `--set recipe.batch.classes=N` with N at most {len(self._sizes)}."
            )
        self.classes = classes
        self.images = images
        self.seed = seed
        self._groups = -(-self._sizes // images)  # (classes in all,) groups of each class

    def __len__(self) -> int:
        """Return the batches of an epoch, the same in every epoch."""
        # A class gives at most one group a batch, and a batch takes at most P groups; taking
        # the classes with most groups left reaches this bound.
        return max(-(-int(self._groups.sum()) // self.classes), int(self._groups.max()))

    def batches(self, epoch: int) -> Iterator[np.ndarray]:
        """Yield the batches of an epoch: indices (P·K,), int64, a class's K images together."""
        rng = np.random.default_rng([self.seed, epoch])
        # A class's images are shuffled and kept together: its first one is at `starts`.
        order = np.lexsort((rng.random(len(self._labels)), self._labels))  # (N,)
        starts = np.cumsum(self._sizes) - self._sizes
        classes, firsts = self._plan(rng)  # (batches, P) each
        within = firsts[..., None] + np.arange(self.images)  # (batches, P, K)
        indices = order[starts[classes][..., None] + within % self._sizes[classes][..., None]]
        yield from indices.reshape(len(self), -1)[rng.permutation(len(self))]

    def _plan(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the classes of each batch, and where in its shuffled images each group starts."""
        left = self._groups.tolist()
        tie_break = iter(rng.random(len(left) + sum(left)).tolist())
        waiting = [(-count, next(tie_break), label) for label, count in enumerate(left)]
        heapq.heapify(waiting)  # the class with the most groups left comes first
        classes = np.empty((len(self), self.classes), dtype=np.int64)
        firsts = np.empty_like(classes)
        for batch in range(len(self)):
            taken = [heapq.heappop(waiting)[2] for _ in range(min(self.classes, len(waiting)))]
            places = []
            for label in taken:
                left[label] -= 1
                places.append(self.images * left[label])
                if left[label]:
                    heapq.heappush(waiting, (-left[label], next(tie_break), label))
            if len(taken) < self.classes:
                # Of any P classes at most len(taken) are in the batch already.
                drawn = rng.choice(len(left), self.classes, replace=False)
                more = drawn[~np.isin(drawn, taken)][: self.classes - len(taken)]
                taken.extend(more.tolist())
                places.extend(rng.integers(self._sizes[more]).tolist())
            classes[batch], firsts[batch] = taken, places
        return classes, firsts


class RandomSampler:
    """Batches drawn uniformly, whatever the classes; a pure function of arguments and epoch.

    In an epoch every image comes once, and the last batch is filled up from the batch before it.

    labels: (N,), int64. size: images a batch. seed: decides the batches together with the epoch.
    Raises `UsageError` where there are fewer images than a batch takes.
    """

    def __init__(self, labels: np.ndarray, size: int, seed: int = 0) -> None:
        if not 1 <= size <= len(labels):
            raise UsageError(
                f"A batch of {size} images cannot be drawn from {len(labels)} training images. "
                f"Set recipe.batch.classes × recipe.batch.images to at most {len(labels)}."
            )
        self.count, self.size, self.seed = len(labels), size, seed

    def __len__(self) -> int:
        """Return the batches of an epoch, the same in every epoch."""
        return -(-self.count // self.size)

    def batches(self, epoch: int) -> Iterator[np.ndarray]:
        """Yield the batches of an epoch: indices (size,), int64, without repetition."""
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        whole = self.count // self.size * self.size
        yield from order[:whole].reshape(-1, self.size)
        if whole < self.count:
            yield order[-self.size :]
