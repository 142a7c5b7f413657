"""How a check of the conformance kit is made, and what it finds."""

from __future__ import annotations

import difflib
import inspect
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmlbench.training.random_states import random_states, restore_random_states


class Broken(Exception):
    """The contract does not hold; the message says how."""


class Skip(Exception):
    """The check cannot be made here; the message says why."""


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    outcome: "passed", "failed" or "skipped".
    reason: why it failed or was skipped, in a line; empty if it passed.
    """

    name: str
    outcome: str
    reason: str = ""


def run_checks(
    checks: Mapping[str, Callable[[Any], None]],
    subject: Any,
    expected_failures: Mapping[str, str],
) -> list[CheckResult]:
    """Make each check on `subject`; global random states are left as they were.

    expected_failures: check names with the reason why each may fail. Such a check that fails is
        skipped, one that passes is passed.
    Raises `ValueError` where they name no check.
    """
    for name in expected_failures:
        if name not in checks:
            close = difflib.get_close_matches(name, checks, n=1, cutoff=0.3)
            hint = f" Did you mean {close[0]}?" if close else ""
            raise ValueError(
                f"expected_failures: there is no check named {name!r}.{hint} "
                f"The checks are {', '.join(checks)}."
            )
    return [
        _run(name, check, subject, expected_failures.get(name)) for name, check in checks.items()
    ]


def _run(
    name: str, check: Callable[[Any], None], subject: Any, expected: str | None
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


def build_seeded(
    factory: Callable[..., nn.Module], params: Mapping[str, Any], seed: int, **offers: Any
) -> nn.Module:
    """Call `factory` with those `offers` that it asks for, every random state set by `seed`."""
    asked = inspect.signature(factory).parameters
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    return factory(**{name: v for name, v in offers.items() if name in asked}, **params)


def check_scalar(value: Any, what: str) -> None:
    """Raise `Broken` unless `value` is a finite floating-point scalar."""
    if not isinstance(value, Tensor):
        raise Broken(f"{what} returned {type(value).__name__}, not a tensor")
    if value.shape != ():
        raise Broken(f"{what} has the shape {tuple(value.shape)}, not () as a scalar")
    if not value.is_floating_point():
        raise Broken(f"{what} has the type {value.dtype}, which is not a floating point type")
    if not value.isfinite():
        raise Broken(f"{what} is {value.item()}")


def check_finite(what: str, values: Tensor) -> None:
    """Raise `Broken` unless all of `values` are finite."""
    if not values.isfinite().all():
        raise Broken(f"{what} is not finite")


def check_close(what: str, found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Raise `Broken` unless both agree within `tolerance` of the largest expected value."""
    if found.shape != expected.shape:
        raise Broken(f"{what}: {tuple(found.shape)} and {tuple(expected.shape)} differ in shape")
    if not expected.numel():
        return
    largest = expected.double().abs().max().item()
    difference = (found.double() - expected.double()).abs().max().item()
    if not difference <= tolerance * (largest + 1e-3):
        raise Broken(f"{what}: off by {difference:.3g} where the largest is {largest:.3g}")


def check_registered(module: nn.Module) -> None:
    """Raise `Broken` where a tensor is neither a parameter nor a buffer: ``.to`` leaves it."""
    for owner_name, owner in module.named_modules():
        for name, value in vars(owner).items():
            if name not in ("_parameters", "_buffers", "_modules") and any(_tensors(value)):
                where = f"{owner_name}.{name}" if owner_name else name
                raise Broken(
                    f"{where} is a tensor that is neither a parameter nor a buffer, so "
                    f".to(device) does not move it"
                )


def check_moves(module: nn.Module) -> None:
    """Raise `Broken` where a part of `module` stays behind when it moves to another type."""
    check_registered(module)
    module.to(torch.float64)
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_floating_point() and value.dtype != torch.float64:
            raise Broken(f"{name} stays {value.dtype} when the module moves to torch.float64")


def need_cuda() -> None:
    """Raise `Skip` where there is no CUDA device."""
    if not torch.cuda.is_available():
        raise Skip("no CUDA device here")


def _tensors(value: Any) -> Iterator[bool]:
    if isinstance(value, Tensor):
        yield True
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
