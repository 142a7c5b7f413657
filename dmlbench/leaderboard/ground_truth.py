"""The dataset of an entry, built again, so that its labels need not be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.entry import Entry
from dmlbench.leaderboard.fingerprints import dataset_key

# Drawn on the spot in seconds, the same everywhere.
EMBEDDED = ("dmlbench:glyphs",)


@dataclass(frozen=True)
class GroundTruth:
    """What the dataset itself says. labels, gallery_labels: (N,) int64."""

    fingerprint: str
    labels: np.ndarray
    gallery_labels: np.ndarray | None


class GroundTruths:
    """Builds each dataset once.

    everything: build every dataset that this machine has, not only those that come with dmlbench.
    """

    def __init__(self, everything: bool = False) -> None:
        self.everything = everything
        self._built: dict[str, GroundTruth | str | None] = {}

    def of(self, entry: Entry) -> GroundTruth | str | None:
        """The truth; None where it is not to be built, and the reason where it cannot be."""
        dataset = entry.dataset
        if not self.everything and f"{dataset.distribution}:{dataset.name}" not in EMBEDDED:
            return None
        key = dataset_key(entry)
        if key not in self._built:
            self._built[key] = _build(entry)
        return self._built[key]


def _build(entry: Entry) -> GroundTruth | str:
    from dmlbench.components import create_dataset
    from dmlbench.data.images import fingerprint
    from dmlbench.plugins import load_plugins

    record, sizes = entry.dataset, entry.recipe.get("input")
    resize = sizes.get("resize") if isinstance(sizes, Mapping) else None
    try:
        dataset = create_dataset(
            load_plugins(), f"{record.distribution}:{record.name}", record.params, resize
        )
    except (DmlbenchError, OSError) as error:
        return f"the dataset cannot be built here: {error}"
    gallery = getattr(dataset, "gallery", None)
    return GroundTruth(
        fingerprint(dataset), dataset.test.labels, gallery.labels if gallery is not None else None
    )
