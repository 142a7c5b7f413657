"""What dmlbench imports. Trackers are imported when the first event comes."""

from __future__ import annotations

import importlib
import os
from typing import Any

from dmlbench.hookspecs import TrialEvent, hookimpl

#: Each tracker with its module and what its extra installs.
TRACKERS = {
    "tensorboard": ("dmlbench_trackers.tensorboard", "tensorboard"),
    "mlflow": ("dmlbench_trackers.mlflow", "mlflow"),
    "wandb": ("dmlbench_trackers.wandb", "wandb"),
}

_open: dict[str, Any] = {}
_broken: set[str] = set()


def chosen() -> list[str]:
    """The trackers that `DMLBENCH_TRACKERS` names. Raises `ValueError` for an unknown one."""
    names = [name.strip().lower() for name in os.environ.get("DMLBENCH_TRACKERS", "").split(",")]
    names = list(dict.fromkeys(filter(None, names)))
    unknown = [name for name in names if name not in TRACKERS]
    if unknown:
        raise ValueError(
            f"DMLBENCH_TRACKERS names {unknown[0]!r}; the trackers are {', '.join(TRACKERS)}"
        )
    return names


@hookimpl
def dmlbench_trial_event(event: TrialEvent) -> None:
    """Hand the event to every chosen tracker; one that fails does not keep it from the others."""
    errors = []
    for name in chosen():
        if name in _broken:
            continue
        try:
            _tracker(name).take(event)
        except Exception as error:
            _broken.add(name)
            errors.append(f"{name}: {error}")
    if errors:
        raise RuntimeError("; ".join(errors))


def _tracker(name: str) -> Any:
    if name not in _open:
        module, extra = TRACKERS[name]
        try:
            _open[name] = importlib.import_module(module).Tracker()
        except ImportError as error:
            raise RuntimeError(
                f"{error}; install it with pip install 'dmlbench-trackers[{extra}]'"
            ) from error
    return _open[name]
