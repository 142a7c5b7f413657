"""What an event says, as the flat names and numbers that trackers take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dmlbench.hookspecs import TrialEvent


def trial_name(event: TrialEvent) -> str:
    """One name for each trial, such as ``triplet seed 3`` or ``triplet split 1 seed 3``."""
    return (
        f"{event.configuration}{f' split {event.split}' if event.split else ''} seed {event.seed}"
    )


def trial_key(event: TrialEvent) -> str:
    """What tells a trial from all others, fit for a file name."""
    return f"{event.entry_id}{f'-split{event.split}' if event.split else ''}-seed{event.seed}"


def epoch_scalars(event: TrialEvent) -> Iterator[tuple[str, float]]:
    """(Name, value) of what an ``epoch_finished`` event measured."""
    values = event.values
    for name in ("objective", "learning_rate", "validation_map_at_r"):
        value = values.get(name)
        if value is not None:
            yield (
                ("validation/map_at_r" if name == "validation_map_at_r" else f"train/{name}"),
                value,
            )
    for group, word in (("losses", "loss"), ("weights", "weight")):
        for index, value in enumerate(values.get(group) or ()):
            if value is not None:
                yield f"train/{word}_{index}", value


def test_scalars(event: TrialEvent) -> Iterator[tuple[str, float]]:
    """(Name, value) of the test metrics of a ``trial_finished`` event."""
    for name, value in event.values["metrics"].items():
        if isinstance(value, Mapping):  # Recall@K by K
            for k, recall in value.items():
                yield f"test/{name.removesuffix('_at')}_at_{k}", recall
        elif value is not None:
            yield f"test/{name}", value


def settings(event: TrialEvent) -> dict[str, Any]:
    """The configuration as flat text: ``losses.0.name``, ``recipe.epochs``, ..."""
    flat = {"configuration": event.configuration, "entry_id": event.entry_id, "seed": event.seed}
    return flat | dict(_flat(event.settings))


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        pairs = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        pairs = enumerate(value)
    else:
        yield prefix, value
        return
    for key, inner in pairs:
        yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
