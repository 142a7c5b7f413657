"""The time during which a trial trains or embeds, when nothing in its process may load data.

A loss that asks for a dataset by name is refused, and its trial fails even where it continues after
the refusal. What reads files by itself cannot be stopped here (docs/trust.md).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from dmlbench.errors import TrialFailure


class DatasetRefused(TrialFailure):
    """A dataset was asked for while a trial trained."""


class _Phase:
    active = False
    asked_for: str | None = None


@contextlib.contextmanager
def training_phase() -> Iterator[None]:
    """Refuse every dataset until the block ends. Raises `DatasetRefused` if one was asked for."""
    _Phase.active, _Phase.asked_for = True, None
    try:
        yield
    finally:
        _Phase.active = False
        if _Phase.asked_for is not None:
            raise DatasetRefused(_refusal(_Phase.asked_for))


def refuse_while_training(name: str) -> None:
    """Raise `DatasetRefused` during a training phase. name: of the dataset that is asked for."""
    if _Phase.active:
        _Phase.asked_for = name
        raise DatasetRefused(_refusal(name))


def _refusal(name: str) -> str:
    return (
        f"the dataset {name} was asked for while the trial trained or embedded: its components see "
        f"the images that they are given and no others"
    )
