"""Build everything once before anything is trained, and blame what cannot be built.

A dataset, backbone, weights file or batch that cannot be used is no fault of the losses that were
to be trained with it; their names come before what they, or their combiner, refuse.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dmlbench.data.training_data import TrainingData
from dmlbench.errors import DmlbenchError, PluginError, UsageError
from dmlbench.plan.config import Component, Configuration
from dmlbench.plan.identity import BUILT_IN
from dmlbench.plan.labels import label
from dmlbench.plugins.registry import Registry
from dmlbench.training.build import build_objective
from dmlbench.training.failures import log_traceback, what_the_machine_lacked
from dmlbench.training.trial import check


@contextlib.contextmanager
def dataset_errors(configuration: Configuration) -> Iterator[None]:
    """Where a dataset is loaded: one that cannot be used as it is raises `UsageError`."""
    try:
        yield
    except (UsageError, PluginError):
        raise
    except DmlbenchError as error:
        raise UsageError(str(error)) from error
    except (Exception, SystemExit) as error:
        log_traceback()
        raise _kind_of(error, [configuration.dataset])(
            f"The dataset {configuration.dataset.id} cannot be loaded: {_error_text(error)}"
        ) from error


def check_buildable(configuration: Configuration, registry: Registry, data: TrainingData) -> None:
    """`dmlbench.training.trial.check`, with an error that says what is at fault."""
    try:
        check(configuration, registry, data)
    except (Exception, SystemExit) as error:
        message, blamed = _error_text(error), [configuration.backbone]
        if (
            _error_of(
                # The dimension of the features matters to no check of parameters.
                lambda: build_objective(configuration, registry, data, seed=0, num_features=1)
            )
            == message
        ):
            message = f"{label(configuration, registry)} cannot be trained: {message}"
            combiner = [configuration.combiner] if configuration.combiner else []
            blamed = [*configuration.losses, *combiner]
        elif not isinstance(error, DmlbenchError):
            message = f"The backbone {configuration.backbone.id} cannot be built: {message}"
        if not isinstance(error, DmlbenchError):
            log_traceback()
        raise _kind_of(error, blamed)(message) from error


def _kind_of(error: BaseException, blamed: Sequence[Component]) -> type[DmlbenchError]:
    """As what an error is raised again: that of a plugin's code as the plugin's.

    blamed: the components one of which raised it.
    """
    for kind in (UsageError, PluginError):
        if isinstance(error, kind):
            return kind
    foreign = any(component.distribution != BUILT_IN for component in blamed)
    if isinstance(error, DmlbenchError) or not foreign or what_the_machine_lacked(error):
        return DmlbenchError
    return PluginError


def _error_of(build: Callable[[], Any]) -> str | None:
    try:
        build()
    except (Exception, SystemExit) as error:
        return _error_text(error)
    return None


def _error_text(error: BaseException) -> str:
    if isinstance(error, DmlbenchError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
