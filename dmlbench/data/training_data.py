"""What a trial trains on: the training images of a dataset, with no way from them to the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmlbench.data.apart import apart_from
from dmlbench.data.images import Dataset, ImageSet, fingerprint, image_sets


@dataclass(frozen=True)
class TrainingData:
    """The training images of a dataset; of the rest what an entry says of it.

    facts: JSON values: fingerprint, numbers of classes and images, decisions of the loading.
    """

    train: ImageSet
    facts: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        return self.facts["fingerprint"]


def training_data(dataset: Dataset) -> TrainingData:
    """Take the training images out of a dataset. It may be forgotten afterwards."""
    gallery = getattr(dataset, "gallery", None)
    facts = {
        "fingerprint": fingerprint(dataset),
        "num_train_classes": len(dataset.train.class_names),
        "num_train_images": len(dataset.train),
        "num_test_classes": len(dataset.test.class_names),
        "num_test_images": len(dataset.test),
        "num_gallery_images": len(gallery) if gallery is not None else 0,
        "report": list(getattr(dataset, "report", ())),
    }
    train = dataset.train
    others = [images for split, images in image_sets(dataset) if split != "train"]
    images = apart_from(train, others, facts["fingerprint"])
    # The labels, too, may be the first part of all.
    return TrainingData(replace(train, images=images, labels=np.array(train.labels)), facts)
