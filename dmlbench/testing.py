"""The conformance kit: does a plugin's loss keep the contract?

    from dmlbench.testing import check_loss
    failed = [result for result in check_loss(MyLoss) if result.outcome == "failed"]
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from dmlbench.loss_checks import LOSS_CHECKS, Broken, Skip, Subject
from dmlbench.random_states import random_states, restore_random_states

__all__ = ["LOSS_CHECKS", "CheckResult", "check_loss"]


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    outcome: "passed", "failed" or "skipped".
    reason: why it failed or was skipped, in a line; empty if it passed.
    """

    name: str
    outcome: str
    reason: str = ""


def check_loss(
    factory: Callable[..., nn.Module],
    *,
    params: Mapping[str, Any] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> list[CheckResult]:
    """Run every check of `LOSS_CHECKS` on a loss, each on freshly built ones.

    Args:
        factory: makes the loss; gets ``num_classes`` and ``embedding_dim`` where it asks for them.
        params: further keyword arguments for it.
        expected_failures: check names with the reason why each may fail. Such a check that fails
            is reported as skipped, one that passes as passed.

    Global random states are left as they were. Raises `ValueError` where `expected_failures`
    names no check.
    """
    expected = dict(expected_failures or {})
    for name in expected:
        if name not in LOSS_CHECKS:
            close = difflib.get_close_matches(name, LOSS_CHECKS, n=1, cutoff=0.3)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"expected_failures: there is no check named {name!r}.{hint} "
                f"The checks are {', '.join(LOSS_CHECKS)}."
            )
    subject = Subject(factory, dict(params or {}))
    return [
        _run(name, check, subject, expected.get(name)) for name, check in LOSS_CHECKS.items()
    ]


def _run(
    name: str, check: Callable[[Subject], None], subject: Subject, expected: str | None
) -> CheckResult:
    states = random_states()
    try:
        check(subject)
    except Skip as reason:
        return CheckResult(name, "skipped", str(reason))
    except Exception as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, Broken):
            reason = f"{type(error).__name__}: {reason}"
        if expected is not None:
            return CheckResult(name, "skipped", f"fails as expected ({expected}): {reason}")
        return CheckResult(name, "failed", reason)
    finally:
        restore_random_states(states)
    return CheckResult(name, "passed")
