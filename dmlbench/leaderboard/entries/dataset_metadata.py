"""What an entry says of data: how many images and classes, and a hash of all of them."""

from __future__ import annotations

from dmlbench.leaderboard.entries.record import Count, Record, Sha256


class DatasetMetadata(Record):
    """What was found in the data: the fingerprint of labels, split and images, and how many.

    report: decisions that loading the data took, a sentence each.
    """

    fingerprint: Sha256
    num_train_classes: Count
    num_train_images: Count
    num_test_classes: Count
    num_test_images: Count
    num_gallery_images: Count
    report: list[str]
