"""The frozen registry: what the loaded plugins offer, and how a name finds one of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.hookspecs import LossSpec, Spec, TrialEvent
from dmlbench.plugins.wrapped import one_form_of_wrapped

KINDS = {
    "losses": "loss",
    "combiners": "combiner",
    "datasets": "dataset",
    "backbones": "backbone",
}


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
        """Defaults overlaid with `given`; those of a wrapped loss in one form.

        Raises `UsageError` for an unknown parameter.
        """
        for key in given:
            if key not in self.spec.defaults:
                allowed = ", ".join(sorted(self.spec.defaults)) or "none"
                raise UsageError(
                    f"{KINDS[self.kind]} {self.id} has no parameter {key!r}. It has: {allowed}."
                )
        params = {**self.spec.defaults, **given}
        if isinstance(self.spec, LossSpec) and self.spec.wraps:
            return one_form_of_wrapped(self.id, self.spec.wraps, params)
        return params


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
        """What to do about a name that nothing has."""
        close = difflib.get_close_matches(*self._typed_and_known(kind, name), n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}? " if close else ""
        broken = [record for record in self.plugins if record.status == "broken"]
        if broken:
            listing = "; ".join(f"{r.distribution} {r.version}: {r.reason}" for r in broken)
            hint += f"Some plugins are broken and offer nothing ({listing}). "
        if kind == "losses" and re.fullmatch(r"(pml:)?[A-Z]\w*Loss", name):
            hint += (
                f"The losses of pytorch-metric-learning come with the plugin dmlbench-pml, "
                f"as pml:{name.removeprefix('pml:')}. "
            )
        return hint + f"`dmlbench list {kind}` shows all {len(self.of_kind(kind))}."

    def _typed_and_known(self, kind: str, name: str) -> tuple[str, list[str]]:
        """What was typed, and the names to compare it with: with their prefix if it is known."""
        prefix, colon, short = name.rpartition(":")
        behind = self._behind(prefix, kind) if colon else []
        if not behind:
            names = {known for item in self.of_kind(kind) for known in item.short_names(False)}
            return short.lower(), sorted(names)
        names = {known for item in behind for known in item.short_names(True)}
        return name.lower(), sorted(f"{prefix}:{known}" for known in names)
