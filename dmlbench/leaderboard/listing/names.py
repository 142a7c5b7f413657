"""Entries by the names of their rows, where a name is unique."""

from __future__ import annotations

import re
from pathlib import Path

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.store import find_entry_file
from dmlbench.leaderboard.listing.listing import open_listing
from dmlbench.leaderboard.listing.reader import Row
from dmlbench.plan.writing import row_name
from dmlbench.plugins.loading import load_plugins
from dmlbench.plugins.registry import Registry

_ID_OR_FILE = re.compile(r"[0-9a-f]{4,16}(\.[0-9a-f]{0,8})?|.*\.json|.*/.*", re.IGNORECASE)
_MOST = 10


def entry_file(folder: Path, name: str) -> Path:
    """The file of the entry that an id, the beginning of one, a path or a row's name means.

    A name is that of tables, ``wedl(triplet + multi-similarity)``, or one without parameters and
    with aliases, ``wedl(triplet, ms)``. Raises `UsageError` if none or several entries fit.
    """
    if _ID_OR_FILE.fullmatch(name):
        return find_entry_file(folder, name)
    listing = open_listing(folder)
    rows = listing.rows
    found = [row for row in rows if row.label == name]
    if not found:
        wanted = _canonical(name, load_plugins())
        # The row without parameters, or else one with any.
        found = [row for row in rows if row.label == wanted]
        found = found or [row for row in rows if _plain_name(row) == wanted]
    if len(found) == 1:
        return folder / found[0].path
    if found:
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        listed = ", ".join(f"{row.entry_id} ({_described(row)})" for row in found[:_MOST])
        raise UsageError(f"{name} names {len(found)} entries: {listed}{more}. Give an id.")
    names = sorted({row.label for row in rows})
    there = f" It has: {', '.join(names[:_MOST])}{', ...' * (len(names) > _MOST)}." if names else ""
    raise UsageError(f"{folder} has no entry that is named {name}, or whose id starts so.{there}")


def _described(row: Row) -> str:
    return f"{row.label} on {row.dataset}, {row.recipe}, {row.embedding_dim}-d"


def _plain_name(row: Row) -> str:
    return row_name(row.combiner or None, row.losses.split("\n"))


def _canonical(name: str, registry: Registry) -> str:
    """A typed name with aliases replaced: ``learned(triplet,ms)`` as tables have it."""
    combiner, bracket, inside = name.partition("(")
    if not bracket:
        combiner, inside = "", name
    losses = [part.strip() for part in re.split(r"[,+]", inside.removesuffix(")"))]
    losses = [_component("losses", loss, registry) for loss in losses]
    return row_name(_component("combiners", combiner.strip(), registry) or None, losses)


def _component(kind: str, name: str, registry: Registry) -> str:
    found = {item.spec.name for item in registry.find(kind, name)} if name else set()
    return found.pop() if len(found) == 1 else name
