"""Find plugins, load each in isolation, and freeze what they offer into a registry."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import re
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

import pluggy

from dmlbench import hookspecs
from dmlbench.errors import PluginError
from dmlbench.plugins.guard import own_faults
from dmlbench.plugins.registry import KINDS, Listener, PluginRecord, Registered, Registry
from dmlbench.plugins.spec_checks import check_spec

_SPEC_TYPES = {
    "losses": hookspecs.LossSpec,
    "combiners": hookspecs.CombinerSpec,
    "datasets": hookspecs.DatasetSpec,
    "backbones": hookspecs.BackboneSpec,
}


def load_plugins(without: Collection[str] = ()) -> Registry:
    """Load every entry point of the group ``dmlbench``, leaving out the distributions in `without`.

    A plugin that fails is recorded with its reason and offers nothing; the others are unaffected.
    Raises `PluginError` where `without` names a distribution that has no plugin.
    """
    entry_points = sorted(
        importlib.metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP),
        # The built-ins come first, so a clash of full names is reported for the other one.
        key=lambda entry: (_distribution(entry) != ("dmlbench"), _distribution(entry), entry.name),
    )
    left_out = {_normalise(name) for name in without}
    unknown = left_out - {_distribution(entry) for entry in entry_points}
    if unknown:
        known = ", ".join(sorted({_distribution(entry) for entry in entry_points}))
        raise PluginError(
            f"--without {', '.join(sorted(unknown))}: no installed distribution of that name "
            f"offers a dmlbench plugin. Installed: {known}."
        )
    records, components, listeners = [], [], []
    taken: set[tuple[str, str]] = set()
    seen: set[tuple[str, str, str]] = set()
    for entry in entry_points:
        distribution, version = _distribution(entry), _version(entry)
        if (distribution, entry.name, entry.value) in seen:
            continue  # the same distribution found twice on sys.path
        seen.add((distribution, entry.name, entry.value))
        if distribution in left_out:
            records.append(PluginRecord(entry.name, distribution, version, "left out"))
            continue
        try:
            plugin, offered = _load(entry, distribution, version, taken)
        except PluginError as error:
            records.append(PluginRecord(entry.name, distribution, version, "broken", str(error)))
            continue
        components.extend(offered)
        taken.update((item.kind, name) for item in offered for name in _full_names(item))
        if hasattr(plugin, "dmlbench_trial_event"):
            listeners.append(Listener(distribution, plugin.dmlbench_trial_event))
        records.append(
            PluginRecord(entry.name, distribution, version, "ok", offers=_offers(offered))
        )
    return Registry(tuple(records), tuple(components), tuple(listeners))


class LateRegistry(Registry):
    """A registry that imports plugins when it is first asked, in the process that asks.

    load: gives the registry.
    """

    def __init__(self, load: Callable[[], Registry]) -> None:
        object.__setattr__(self, "_load", load)

    @functools.cached_property
    def _loaded(self) -> Registry:
        return self._load()  # type: ignore[attr-defined, no-any-return]

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:  # type: ignore[override]
        return self._loaded.plugins

    @property
    def components(self) -> tuple[Registered, ...]:  # type: ignore[override]
        return self._loaded.components

    @property
    def listeners(self) -> tuple[Listener, ...]:  # type: ignore[override]
        return self._loaded.listeners


def other_distributions(than: str) -> list[str]:
    """The installed distributions with plugins, except one and dmlbench itself."""
    entry_points = importlib.metadata.entry_points(group=hookspecs.ENTRY_POINT_GROUP)
    return sorted({_distribution(entry) for entry in entry_points} - {than, "dmlbench"})


def _load(
    entry: importlib.metadata.EntryPoint,
    distribution: str,
    version: str,
    taken: Collection[tuple[str, str]],
) -> tuple[Any, list[Registered]]:
    """Import one plugin and collect its specs; every way to fail becomes a `PluginError`."""
    try:
        # A plugin that prints while it is imported must not spoil --json on stdout.
        with contextlib.redirect_stdout(sys.stderr), own_faults():
            plugin = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(f"cannot be imported: {_describe(error)}") from error
    manager = pluggy.PluginManager(hookspecs.ENTRY_POINT_GROUP)
    manager.add_hookspecs(hookspecs.Hooks)
    try:
        manager.register(plugin, name=entry.name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError(_without_paths(str(error))) from error
    marked = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    unmarked = [name for name in dir(plugin) if name.startswith("dmlbench_") and name not in marked]
    if unmarked:
        known = ", ".join(name for name in dir(hookspecs.Hooks) if name.startswith("dmlbench_"))
        raise PluginError(
            f"defines {unmarked[0]}, which is not marked with @dmlbench.hookspecs.hookimpl "
            f"(hooks: {known})"
        )
    offered: list[Registered] = []
    names = set(taken)
    for kind in KINDS:
        hook = getattr(manager.hook, f"dmlbench_{kind}")
        try:
            with contextlib.redirect_stdout(sys.stderr), own_faults():
                specs = [spec for specs in hook() for spec in specs]
        except (Exception, SystemExit) as error:
            raise PluginError(f"dmlbench_{kind}() failed: {_describe(error)}") from error
        for spec in specs:
            check_spec(spec, _SPEC_TYPES[kind], f"dmlbench_{kind}()")
            item = Registered(kind, distribution, version, spec, entry.name)
            _check_prefixes(item)
            for name in _full_names(item):
                if (kind, name) in names:
                    raise PluginError(f"offers {name} twice among its {kind}")
                names.add((kind, name))
            offered.append(item)
    return plugin, offered


def load_target(target: str, distribution: str) -> Any:
    """Import what a spec's ``target="package.module:Class"`` names. Raises `PluginError`."""
    module_name, _, attribute = target.partition(":")
    try:
        with own_faults():
            return getattr(importlib.import_module(module_name), attribute)
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"{distribution}: the target {target} cannot be loaded: {_describe(error)}. "
            f"Report this to the authors of {distribution}, or leave it out with "
            f"--without {distribution}."
        ) from error


def _check_prefixes(item: Registered) -> None:
    """Raise `PluginError` where an alias stands behind a prefix that is another plugin's."""
    for alias in item.spec.aliases:
        prefix, colon, _ = alias.rpartition(":")
        if colon and prefix not in (item.distribution, item.entry_point):
            raise PluginError(
                f"offers {item.spec.name} as {alias}, but only {item.distribution!r} and "
                f"{item.entry_point!r} are allowed before the colon"
            )


def _full_names(item: Registered) -> list[str]:
    names = (item.spec.name, *item.spec.aliases)
    return [f"{item.distribution}:{name.rpartition(':')[2]}" for name in names]


def _offers(items: Iterable[Registered]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    items = list(items)
    by_kind = ((kind, tuple(i.spec.name for i in items if i.kind == kind)) for kind in KINDS)
    return tuple((kind, names) for kind, names in by_kind if names)


def _without_paths(message: str) -> str:
    """pluggy's message on one line, without the representation of the module."""
    return " ".join(re.sub(r" in plugin <module .*?>", "", message).split())


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _normalise(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _distribution(entry: importlib.metadata.EntryPoint) -> str:
    return _normalise(entry.dist.name) if entry.dist is not None else "unknown"


def _version(entry: importlib.metadata.EntryPoint) -> str:
    return entry.dist.version if entry.dist is not None else "unknown"
