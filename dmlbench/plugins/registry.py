"""The frozen registry: what the loaded plugins offer, and how a name finds one of them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dmlbench.errors import PluginError, UsageError
from dmlbench.hookspecs import Spec, TrialEvent

KINDS = {
    "losses": "loss",
    "combiners": "combiner",
    "datasets": "dataset",
    "backbones": "backbone",
}

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_ALIAS = re.compile(r"([^:]+:)?[a-z0-9][a-z0-9-]*")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True)
class Registered:
    """A spec together with the distribution, and its entry point, that offer it."""

    kind: str
    distribution: str
    version: str
    spec: Spec
    entry_point: str = ""

    @property
    def id(self) -> str:
        """The canonical name, ``distribution:name``."""
        return f"{self.distribution}:{self.spec.name}"

    def short_names(self, behind_prefix: bool) -> set[str]:
        """Name and aliases without prefix; those that need one only where there is one."""
        aliases = (a.rpartition(":")[2] for a in self.spec.aliases if behind_prefix or ":" not in a)
        return {self.spec.name, *aliases}

    def resolve_params(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults overlaid with `given`. Raises `UsageError` for an unknown parameter."""
        for key in given:
            if key not in self.spec.defaults:
                allowed = ", ".join(sorted(self.spec.defaults)) or "none"
                raise UsageError(
                    f"{KINDS[self.kind]} {self.id} has no parameter {key!r}. It has: {allowed}."
                )
        return {**self.spec.defaults, **given}


@dataclass(frozen=True)
class PluginRecord:
    """One entry point: where it comes from, what it offers, and why it is broken if it is.

    status: "ok", "broken" or "left out".
    offers: names by kind, such as ``{"losses": ("triplet",)}``.
    """

    entry_point: str
    distribution: str
    version: str
    status: str
    reason: str = ""
    offers: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True)
class Listener:
    """What a plugin follows trials with.

    notify: the plugin's `dmlbench_trial_event`.
    """

    distribution: str
    notify: Callable[[TrialEvent], None]


@dataclass(frozen=True)
class Registry:
    """Everything that plugins offer, built by `load_plugins` and passed on."""

    plugins: tuple[PluginRecord, ...]
    components: tuple[Registered, ...]
    listeners: tuple[Listener, ...] = ()

    def of_kind(self, kind: str) -> list[Registered]:
        """The components of one kind ("losses", "combiners", "datasets", "backbones"), by name."""
        items = (item for item in self.components if item.kind == kind)
        return sorted(items, key=lambda item: (item.spec.name, item.distribution))

    def find(self, kind: str, name: str) -> list[Registered]:
        """All components that `name` (short, alias, or behind a prefix and a colon) can mean.

        A prefix is a distribution or, where no distribution is called so, an entry point.
        """
        prefix, colon, short = name.rpartition(":")
        items = self._behind(prefix, kind) if colon else self.of_kind(kind)
        return [item for item in items if short in item.short_names(bool(colon))]

    def resolve(self, kind: str, name: str) -> Registered:
        """The one component that `name` means. Raises `UsageError` if there is none or several."""
        found = self.find(kind, name)
        if len(found) == 1:
            return found[0]
        noun = KINDS[kind]
        if found:
            ids = " or ".join(item.id for item in found)
            raise UsageError(
                f"The {noun} name {name!r} is offered by {len(found)} distributions. "
                f"Say which one: {ids}."
            )
        raise UsageError(f"There is no {noun} named {name!r}. {self._hint(kind, name)}")

    def _behind(self, prefix: str, kind: str) -> list[Registered]:
        distributions = {record.distribution for record in self.plugins}
        attribute = "distribution" if prefix in distributions else "entry_point"
        return [item for item in self.of_kind(kind) if getattr(item, attribute) == prefix]

    def _hint(self, kind: str, name: str) -> str:
        items = self.of_kind(kind)
        prefix, colon, short = name.rpartition(":")
        behind = self._behind(prefix, kind) if colon else []
        names = {name for item in behind or items for name in item.short_names(bool(behind))}
        if behind:
            names, short = {f"{prefix}:{name}" for name in names}, name
        close = difflib.get_close_matches(short.lower(), sorted(names), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        broken = [record for record in self.plugins if record.status == "broken"]
        if broken:
            listing = "; ".join(f"{r.distribution} {r.version}: {r.reason}" for r in broken)
            hint += f"Some plugins are broken and offer nothing ({listing}). "
        return hint + f"`dmlbench list {kind}` shows all {len(items)}."


def check_spec(spec: Any, expected: type[Spec], where: str) -> None:
    """Raise `PluginError` unless `spec` is a well-formed record of the `expected` type."""
    if not isinstance(spec, expected):
        raise PluginError(f"{where} returned {spec!r:.80}, which is no {expected.__name__}")
    problem = _spec_problem(spec)
    if problem:
        raise PluginError(f"{where} returned a bad {expected.__name__} {spec.name!r}: {problem}")


def _spec_problem(spec: Spec) -> str | None:
    if not isinstance(spec.aliases, tuple | list):
        return f"the aliases must be a tuple of names, not {spec.aliases!r:.80}"
    for name, form in [(spec.name, _NAME), *((alias, _ALIAS) for alias in spec.aliases)]:
        if not isinstance(name, str) or not form.fullmatch(name):
            return f"the name {name!r} must be lower case letters, digits and hyphens"
    if not isinstance(spec.target, str) or not _TARGET.fullmatch(spec.target):
        return f"the target {spec.target!r} must have the form 'package.module:Class'"
    if not isinstance(spec.summary, str) or not spec.summary.strip() or "\n" in spec.summary:
        return "the summary must be one line of text"
    if not isinstance(spec.reference, str):
        return "the reference must be text"
    if not isinstance(spec.defaults, Mapping):
        return "defaults must be a mapping of parameter names to JSON values"
    try:
        json.dumps(dict(spec.defaults), allow_nan=False)
    except (TypeError, ValueError) as error:
        return f"defaults must be JSON values: {error}"
    problem = _search_problem(spec)
    if problem:
        return problem
    heads = getattr(spec, "heads", "shared")
    if heads not in ("shared", "per-loss"):
        return f"heads must be 'shared' or 'per-loss', not {heads!r}"
    widens_with = getattr(spec, "widens_with", {})
    if not isinstance(widens_with, Mapping) or not widens_with.keys() <= spec.defaults.keys():
        return f"widens_with must map parameters to values, not {widens_with!r:.80}"
    recall_at = getattr(spec, "recall_at", (1,))
    if not all(isinstance(k, int) and k >= 1 for k in recall_at) or 1 not in recall_at:
        return f"recall_at must be positive whole numbers with 1 among them, not {recall_at!r}"
    return None


def _search_problem(spec: Spec) -> str | None:
    if not isinstance(spec.search, Mapping):
        return "search must be a mapping of parameter names to what may be tried"
    for name, tried in spec.search.items():
        if name not in spec.defaults:
            return f"search names {name!r}, which is not among the defaults"
        if isinstance(tried, (list, tuple)) and tried:
            continue
        if not isinstance(tried, Mapping) or not {"low", "high"} <= set(tried) <= {
            "low",
            "high",
            "log",
        }:
            return (
                f"search[{name!r}] must be a list of choices or "
                f"{{'low': a, 'high': b, 'log': bool}}, not {tried!r}"
            )
        low, high = tried["low"], tried["high"]
        if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
            return f"search[{name!r}] must go from a number to a number, not {tried!r}"
        if not low < high or (tried.get("log") and low <= 0):
            return f"search[{name!r}] must go up, and from above 0 if log: {tried!r}"
    return None
