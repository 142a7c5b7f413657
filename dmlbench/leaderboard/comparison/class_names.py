"""The names of a dataset's classes, from the dataset itself: an entry does not hold them."""

from __future__ import annotations

from dmlbench.errors import DmlbenchError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.verification.fingerprints import image_size
from dmlbench.plugins.registry import Registry


def class_names(entry: Entry, registry: Registry) -> tuple[tuple[str, ...], str]:
    """Names of the training classes, then the test classes; and, where there are none, why not.

    The dataset is built as the entry says, and must have its fingerprint.
    """
    from dmlbench.data.images import fingerprint
    from dmlbench.plugins.components import create_dataset

    record = entry.dataset
    name = f"{record.distribution}:{record.name}"
    try:
        dataset = create_dataset(registry, name, record.params, image_size(entry))
        found = fingerprint(dataset)
    except (DmlbenchError, OSError, TypeError) as error:
        return (), f"the dataset cannot be built here: {error}"
    if found != record.fingerprint:
        return (), "the dataset found here is not the entry's: its fingerprint differs"
    return (*dataset.train.class_names, *dataset.test.class_names), ""
