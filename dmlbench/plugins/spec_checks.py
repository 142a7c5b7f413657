"""Whether what a hook returned is a well-formed spec."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from dmlbench.errors import PluginError
from dmlbench.hookspecs import LossSpec, Spec

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
# Behind a prefix it may be the name of another library's class.
_ALIAS = re.compile(r"[a-z0-9][a-z0-9-]*|[^:]+:[A-Za-z0-9][A-Za-z0-9-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def check_spec(spec: Any, expected: type[Spec], where: str) -> None:
    """Raise `PluginError` unless `spec` is a well-formed record of the `expected` type."""
    if not isinstance(spec, expected):
        raise PluginError(f"{where} returned {spec!r:.80}, which is not a {expected.__name__}")
    for check in _CHECKS:
        try:
            problem, name = check(spec), f"{expected.__name__} {spec.name!r:.80}"
        except Exception as error:  # a value that cannot be compared, walked or even shown
            name = expected.__name__
            problem = f"a field has a value of no kind known: {type(error).__name__}: {error}"
        if problem:
            raise PluginError(f"{where} returned a bad {name}: {problem}")


def _names(spec: Spec) -> str | None:
    if not isinstance(spec.aliases, tuple | list):
        return f"the aliases must be a tuple of names, not {spec.aliases!r:.80}"
    for name, form in [(spec.name, _NAME), *((alias, _ALIAS) for alias in spec.aliases)]:
        if not isinstance(name, str) or not form.fullmatch(name):
            return f"the name {name!r} must be lower case letters, digits and hyphens"
    if not isinstance(spec.target, str) or not _TARGET.fullmatch(spec.target):
        return f"the target {spec.target!r} must have the form 'package.module:Class'"
    return None


def _texts(spec: Spec) -> str | None:
    if not isinstance(spec.summary, str) or not spec.summary.strip() or "\n" in spec.summary:
        return "the summary must be one line of text"
    if not isinstance(spec.reference, str):
        return "the reference must be text"
    return None


def _defaults(spec: Spec) -> str | None:
    if not isinstance(spec.defaults, Mapping):
        return "defaults must be a mapping of parameter names to JSON values"
    try:
        json.dumps(dict(spec.defaults), allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"defaults must be JSON values: {error}"
    if not all(isinstance(name, str) for name in spec.defaults):
        return f"defaults must have names of parameters as keys, not {list(spec.defaults)!r:.80}"
    return None


def _search(spec: Spec) -> str | None:
    if not isinstance(spec.search, Mapping):
        return "search must be a mapping of parameter names to what may be tried"
    for name, tried in spec.search.items():
        if name not in spec.defaults:
            return f"search names {name!r}, which is not among the defaults"
        problem = _tried(name, tried) or _when(f"search[{name!r}]", tried, spec)
        if problem:
            return problem
    return None


def _tried(name: str, tried: Any) -> str | None:
    """What is wrong with choices or a range, apart from ``when``."""
    if isinstance(tried, Mapping):
        tried = {key: value for key, value in tried.items() if key != "when"}
        if set(tried) == {"choices"}:
            tried = tried["choices"]
    return None if _is_choices(tried) else _range(name, tried)


def _when(place: str, tried: Any, spec: Spec) -> str | None:
    """What is wrong with the values of other parameters that a condition names."""
    when = tried.get("when", {}) if isinstance(tried, Mapping) else {}
    return _condition(f"{place}['when']", when, spec)


def _condition(place: str, when: Any, spec: Spec) -> str | None:
    if not isinstance(when, Mapping) or not all(_is_choices(some) for some in when.values()):
        return f"{place} must map parameters to lists of values, not {when!r:.80}"
    unknown = [name for name in when if name not in spec.defaults]
    return f"{place} names {unknown[0]!r}, which is not among the defaults" if unknown else None


def _is_choices(tried: Any) -> bool:
    return isinstance(tried, (list, tuple)) and len(tried) > 0


def _range(name: str, tried: Any) -> str | None:
    """What is wrong with ``{"low": a, "high": b, "log": bool}``."""
    ends = {"low", "high"}
    if not isinstance(tried, Mapping) or not ends <= set(tried) <= {*ends, "log"}:
        return (
            f"search[{name!r}] must be a list of choices, {{'choices': [...]}} or "
            f"{{'low': a, 'high': b, 'log': bool}}, not {tried!r}"
        )
    low, high = tried["low"], tried["high"]
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        return f"search[{name!r}] must go from a number to a number, not {tried!r}"
    if not low < high or (tried.get("log") and low <= 0):
        return f"search[{name!r}] must go up, and from above 0 if log: {tried!r}"
    return None


def _plain_fields(spec: Spec) -> str | None:
    """The fields that are true or false, a text or a number."""
    for name in ("widens", "auxiliary", "transductive", "learns"):
        value = getattr(spec, name, False)
        if not isinstance(value, bool) and not (value is None and isinstance(spec, LossSpec)):
            return f"{name} must be True or False, not {value!r:.80}"
    family = getattr(spec, "family", "pair")
    if not isinstance(family, str) or not _NAME.fullmatch(family):
        return f"the family must be one word, not {family!r:.80}"
    size = getattr(spec, "image_size", 1)
    if type(size) is not int or size < 1:
        return f"image_size must be a positive whole number, not {size!r:.80}"
    return None


def _own_fields(spec: Spec) -> str | None:
    """What only specs of one kind have."""
    problem = _condition("loss_lr_when", getattr(spec, "loss_lr_when", {}), spec)
    if problem:
        return problem
    wraps = getattr(spec, "wraps", ())
    if not isinstance(wraps, tuple | list) or not all(isinstance(one, Spec) for one in wraps):
        return f"wraps must be a tuple of specs, not {wraps!r:.80}"
    if wraps and not {"loss", "params"} <= spec.defaults.keys():
        return "wraps needs the parameters 'loss' and 'params' among the defaults"
    heads = getattr(spec, "heads", "shared")
    if heads not in ("shared", "per-loss"):
        return f"heads must be 'shared' or 'per-loss', not {heads!r}"
    widens_with = getattr(spec, "widens_with", {})
    if not isinstance(widens_with, Mapping) or not widens_with.keys() <= spec.defaults.keys():
        return f"widens_with must map parameters to values, not {widens_with!r:.80}"
    recall_at = getattr(spec, "recall_at", (1,))
    known = isinstance(recall_at, tuple | list) and all(type(k) is int for k in recall_at)
    if not known or min(recall_at, default=0) != 1:
        return f"recall_at must be positive whole numbers with 1 among them, not {recall_at!r:.80}"
    return None


#: In this order, because later checks rely on earlier ones. Each says what is wrong, or None.
_CHECKS: tuple[Callable[[Spec], str | None], ...] = (
    _names,
    _texts,
    _defaults,
    _search,
    _plain_fields,
    _own_fields,
)
