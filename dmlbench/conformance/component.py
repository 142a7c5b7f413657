"""Run all checks on one loss or combiner."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from dmlbench.conformance import combiner_checks, loss_checks
from dmlbench.conformance.combiner_checks import COMBINER_CHECKS
from dmlbench.conformance.kit import CheckResult, run_checks
from dmlbench.conformance.loss_checks import LOSS_CHECKS


def check_loss(
    factory: Callable[..., nn.Module],
    *,
    params: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[CheckResult]:
    """Run every check of `LOSS_CHECKS` on a loss, each on freshly built ones.

    factory: makes the loss; gets ``num_classes``, ``embedding_dim``, ``num_features`` (the same
        number) and ``num_images`` where it asks for them.
    params: further keyword arguments for it.
    expected_failures: check names with the reason why each may fail. Such a check that fails
        is reported as skipped, one that passes as passed. None for those that the factory
        lists itself in an attribute of that name.
    Global random states are left as they were.
    Raises `ValueError` where `expected_failures` names no check.
    """
    subject = loss_checks.LossSubject(factory, dict(params or {}))
    return run_checks(LOSS_CHECKS, subject, _expected(factory, expected_failures))


def check_combiner(
    factory: Callable[..., nn.Module],
    *,
    params: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[CheckResult]:
    """Run every check of `COMBINER_CHECKS` on a combiner, each on freshly built ones.

    factory: a subclass of `dmlbench.combiners.base.Combiner`; gets ``num_losses``, and
        ``embedding_dim`` and ``head_dims`` where it asks for them.
    params: further keyword arguments for it. Most checks join three losses; None for those
        that the factory gives itself in an attribute ``check_params``, if it has one.
    expected_failures: as for `check_loss`.
    Global random states are left as they were.
    Raises `ValueError` where `expected_failures` names no check.
    """
    given = getattr(factory, "check_params", {}) if params is None else params
    subject = combiner_checks.CombinerSubject(factory, dict(given))
    return run_checks(COMBINER_CHECKS, subject, _expected(factory, expected_failures))


#: Checks that were renamed: old name -> new name.
_RENAMED = {"embedding-width": "embedding-dimension"}


def _expected(factory: Any, given: Mapping[str, str] | None) -> Mapping[str, str]:
    expected = getattr(factory, "expected_failures", {}) if given is None else given
    for old in _RENAMED.keys() & expected.keys():
        warnings.warn(
            f"The check {old!r} is now {_RENAMED[old]!r}; the old name goes with the next release.",
            DeprecationWarning,
            stacklevel=3,
        )
    return {_RENAMED.get(name, name): reason for name, reason in expected.items()}
