"""The dataset of an entry, built again, so its labels need not be believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmlbench.errors import DmlbenchError, VerificationError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.verification.fingerprints import dataset_key, image_size

# Drawn on the spot in seconds, the same everywhere.
EMBEDDED = ("dmlbench:glyphs",)

#: More than this is not drawn because an entry from elsewhere asks for it.
MAX_BYTES = 2**30
MAX_IMAGES = 100_000


@dataclass(frozen=True)
class GroundTruth:
    """What the dataset itself says. labels, gallery_labels: (N,) int64.

    classes: of a random split, as `StoredEmbeddings.classes`.
    """

    fingerprint: str
    labels: np.ndarray
    gallery_labels: np.ndarray | None
    classes: np.ndarray | None = None


class GroundTruths:
    """Builds each dataset once.

    everything: build every dataset that this machine has, of any size, not only those that come
        with dmlbench and are soon drawn.
    """

    def __init__(self, everything: bool = False) -> None:
        self.everything = everything
        self._built: dict[tuple[str, int], GroundTruth | str | VerificationError] = {}

    def of(self, entry: Entry, split: int = 0) -> tuple[GroundTruth | None, str | None]:
        """The truth, or None and why there is none.

        split: of the classes; 0 is the dataset's own.
        Raises `VerificationError` for parameters that a dataset of dmlbench's own cannot have.
        """
        dataset = entry.dataset
        embedded = f"{dataset.distribution}:{dataset.name}" in EMBEDDED
        if not self.everything:
            if not embedded:
                return None, "the dataset is not built here, its fingerprint is believed"
            if _num_images(entry) > MAX_IMAGES or _num_bytes(entry) > MAX_BYTES:
                return None, "the dataset is large and is built with --rebuild alone"
        key = dataset_key(entry), split
        if key not in self._built:
            self._built[key] = _build(entry, embedded, split)
        found = self._built[key]
        if isinstance(found, VerificationError):
            raise found
        return (None, found) if isinstance(found, str) else (found, None)


def _num_bytes(entry: Entry) -> int:
    """How large the drawn images are, by the parameters: what an entry says is not believed."""
    size = image_size(entry)
    return _num_images(entry) * (size * size if isinstance(size, int) else 1)


def _num_images(entry: Entry) -> int:
    numbers = [entry.dataset.params.get(name) for name in ("classes", "images_per_class")]
    return math.prod(n for n in numbers if isinstance(n, int))


def _build(entry: Entry, embedded: bool, split: int) -> GroundTruth | str | VerificationError:
    from dmlbench.data.class_splits import ClassSplit
    from dmlbench.data.images import fingerprint
    from dmlbench.plugins.components import create_dataset
    from dmlbench.plugins.loading import load_plugins

    record = entry.dataset
    name = f"{record.distribution}:{record.name}"
    try:
        dataset = create_dataset(load_plugins(), name, record.params, image_size(entry))
        if split:
            dataset = ClassSplit(dataset, split, name)
    except (DmlbenchError, TypeError) as error:
        reason = f"the dataset cannot be built: {error}"
        return VerificationError(reason) if embedded else reason
    except OSError as error:
        return f"the dataset cannot be built here: {error}"
    gallery = getattr(dataset, "gallery", None)
    return GroundTruth(
        fingerprint(dataset),
        dataset.test.labels,
        gallery.labels if gallery is not None else None,
        dataset.test_classes if split else None,
    )
