"""Parameters of a loss that wraps another one: which, and with which parameters of its own.

Two ways to write one configuration have one form: the wrapped loss by its name, not an alias, and
only those of its parameters that differ from their defaults.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.hookspecs import LossSpec


def one_form_of_wrapped(
    owner: str, wraps: tuple[LossSpec, ...], params: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters of a loss with ``loss`` and ``params`` in their one form.

    owner: id of the wrapping loss. wraps: as in its `LossSpec`.
    Raises `UsageError` for a loss that cannot be wrapped and a parameter that it does not have.
    """
    spec, given = wrapped_spec(owner, wraps, params["loss"]), params["params"]
    if given is not None and not isinstance(given, Mapping):
        raise UsageError(
            f"loss {owner}: params must be a table such as {{margin = 0.1}}, not {given!r}."
        )
    for name in given or {}:
        if name not in spec.defaults:
            allowed = ", ".join(sorted(spec.defaults))
            raise UsageError(
                f"loss {owner}: params has {name!r}, but {spec.name} has no such parameter."
                f"{_hint(name, spec.defaults)} It has: {allowed}."
            )
    kept = {
        name: value for name, value in (given or {}).items() if not _is(value, spec.defaults[name])
    }
    return {**params, "loss": spec.name, "params": kept or None}


def wrapped_spec(owner: str, wraps: tuple[LossSpec, ...], name: Any) -> LossSpec:
    """The spec of the loss that a name or alias means. Raises `UsageError` where there is none."""
    for spec in wraps:
        if name == spec.name or name in spec.aliases:
            return spec
    allowed = [spec.name for spec in wraps]
    raise UsageError(
        f"loss {owner}: loss is {name!r}, which it cannot wrap.{_hint(name, allowed)} "
        f"Allowed: {', '.join(allowed)}."
    )


def _hint(name: Any, known: Any) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _is(value: Any, default: Any) -> bool:
    """Whether two values are equal; True is not 1, which Python takes for the same."""
    return value == default and isinstance(value, bool) == isinstance(default, bool)
