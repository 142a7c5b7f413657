"""Completion of values in a shell: names of components and recipes, and ids of entries.

A completer is called at every press of Tab, so none imports torch, pydantic or pandas, and none
reads an entry: an id is the name of its file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

#: More candidates than a terminal shows at once help nobody.
_MOST = 200
_ENTRY_FILE = re.compile(r"([0-9a-f]{16}(?:\.[0-9a-f]{8})?)\.json")
_ID_START = re.compile(r"[0-9a-f]{0,16}(?:\.[0-9a-f]{0,8})?")
# What ends a name in a list: a comma outside brackets, or the number of copies.
_COPIES = re.compile(r"\d+\*")


def components(kind: str, several: bool = False) -> Completer:
    """Complete names of one kind, such as "losses"; several: in a list with commas.

    Of a list the last name is completed, and none that it already has is offered.
    """

    def complete(
        context: click.Context, parameter: click.Parameter, typed: str
    ) -> list[CompletionItem]:
        before, last = _last_of_list(typed) if several else ("", typed)
        if last is None or "(" in last:  # inside the parameters of a component
            return []
        there = {name.strip() for name in before.split(",")}
        offered = [item for item in _component_items(context, kind) if item.value not in there]
        return _starting(last, offered, before)

    return complete


def recipes(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete names of packaged recipes; where none fits, files."""
    from dmlbench.plan.recipe import recipe_names

    found = _starting(typed, map(CompletionItem, recipe_names()))
    return found or [CompletionItem(typed, type="file")]


def entries(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete ids of the entries under ``--leaderboards``; where none fits, files."""
    folder = Path(context.params.get("leaderboards") or "leaderboards")
    named: set[str] = set()
    for value in context.params.values():
        named |= {value} if isinstance(value, str) else set()
        named |= (
            {one for one in value if isinstance(one, str)} if isinstance(value, tuple) else set()
        )
    found = []
    if _ID_START.fullmatch(typed):
        found = [CompletionItem(i) for i in _entry_ids(folder, typed) if i not in named]
    return found or [CompletionItem(typed, type="file")]


def names(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Complete whatever ``dmlbench info`` shows: components, recipes and entries."""
    from dmlbench.plugins.registry import KINDS

    if not typed.startswith((".", "/", "~")):
        found = [item for kind in KINDS for item in _component_items(context, kind)]
        found = _starting(typed, {item.value: item for item in found}.values())
        found += recipes(context, parameter, typed) if typed else []
        found = [item for item in found if item.type == "plain"]
        if not found or typed:
            found += [i for i in entries(context, parameter, typed) if i.type == "plain"]
        if found:
            return found
    return [CompletionItem(typed, type="file")]


def distributions(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete the distributions of installed plugins."""
    from dmlbench.plugins.loading import load_plugins

    found = {record.distribution: None for record in load_plugins().plugins}
    return _starting(typed, map(CompletionItem, found))


def checkable(
    context: click.Context, parameter: click.Parameter, typed: str
) -> list[CompletionItem]:
    """Complete what ``dmlbench plugin check`` checks: components and distributions."""
    from dmlbench.plugins.registry import KINDS

    found = {item.value: item for kind in KINDS for item in _component_items(context, kind)}
    return _starting(typed, found.values()) + distributions(context, parameter, typed)


def _component_items(context: click.Context, kind: str) -> list[CompletionItem]:
    """The names and aliases of a kind, and full names where a short one is ambiguous."""
    from dmlbench.errors import DmlbenchError
    from dmlbench.plugins.loading import load_plugins

    try:
        registry = load_plugins(context.params.get("without") or ())
    except DmlbenchError:  # an unknown --without: the command itself says so
        return []
    found = []
    for item in registry.of_kind(kind):
        for name in sorted(item.short_names(behind_prefix=False)):
            alone = len(registry.find(kind, name)) == 1
            value = name if alone else f"{item.distribution}:{name}"
            found.append(CompletionItem(value, help=item.spec.summary))
    return found


def _starting(
    typed: str, items: Iterable[CompletionItem], before: str = ""
) -> list[CompletionItem]:
    return [
        CompletionItem(before + item.value, help=item.help)
        for item in items
        if item.value.startswith(typed)
    ]


def _last_of_list(typed: str) -> tuple[str, str | None]:
    """What is before the last name of a list, and what is typed of that name.

    None in place of the latter inside brackets, where parameters are typed.
    """
    depth, start = 0, 0
    for position, character in enumerate(typed):
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            start = position + 1
    if depth:
        return typed, None
    rest = typed[start:]
    if copies := _COPIES.match(rest):
        start += copies.end()
    return typed[:start], typed[start:]


def _entry_ids(folder: Path, start: str) -> list[str]:
    """The ids of entries in a folder of leaderboards, at whatever level, that start so."""
    found = []
    for name in _file_names(folder, levels=3):
        if name.startswith(start) and (match := _ENTRY_FILE.fullmatch(name)):
            found.append(match[1])
            if len(found) == _MOST:
                break
    return sorted(set(found))


def _file_names(folder: Path, levels: int) -> Iterator[str]:
    try:
        with os.scandir(folder) as places:
            listed = list(places)
    except OSError:
        return
    folders = []
    for place in listed:
        if place.name.endswith(".json"):
            yield place.name
        elif levels > 1 and place.name[0] not in "._" and place.is_dir():
            folders.append(place.path)
    for inner in sorted(folders):
        yield from _file_names(Path(inner), levels - 1)
