"""What a trial trains on: the training images of a dataset, with no way from them to the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmlbench.data.apart import apart_from
from dmlbench.data.class_splits import ClassSplit
from dmlbench.data.images import Dataset, ImageSet, fingerprint, image_sets


@dataclass(frozen=True)
class TrainingData:
    """The training images of a dataset on one class split; of the rest what an entry says of it.

    metadata: of the dataset with its own split, JSON values: fingerprint, numbers of classes and
        images, decisions of the loading.
    split_metadata: the same of a random split; None on the dataset's own.
    """

    train: ImageSet
    metadata: dict[str, Any]
    split_metadata: dict[str, Any] | None = None

    @property
    def fingerprint(self) -> str:
        """Of the data that are trained on."""
        return (self.split_metadata or self.metadata)["fingerprint"]


def training_data(dataset: Dataset, split: ClassSplit | None = None) -> TrainingData:
    """Take the training images out of a dataset. It may be forgotten afterwards.

    split: of this dataset, to train on instead of its own.
    """
    metadata = _metadata(dataset)
    split_metadata = None if split is None else _metadata(split)
    used = dataset if split is None else split
    others = [images for side, images in image_sets(used) if side != "train"]
    images = apart_from(used.train, others, (split_metadata or metadata)["fingerprint"])
    # The labels, too, may be the first part of all.
    train = replace(used.train, images=images, labels=np.array(used.train.labels))
    return TrainingData(train, metadata, split_metadata)


def _metadata(dataset: Dataset) -> dict[str, Any]:
    gallery = getattr(dataset, "gallery", None)
    return {
        "fingerprint": fingerprint(dataset),
        "num_train_classes": len(dataset.train.class_names),
        "num_train_images": len(dataset.train),
        "num_test_classes": len(dataset.test.class_names),
        "num_test_images": len(dataset.test),
        "num_gallery_images": len(gallery) if gallery is not None else 0,
        "report": list(getattr(dataset, "report", ())),
    }
