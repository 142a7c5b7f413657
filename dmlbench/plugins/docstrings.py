"""What a component says of itself: its class's docstring, and what `dmlbench tune` tries.

Docstrings are read from the source, so describing a loss imports no torch. A docstring has
its first sentence, paragraphs, ``name: text`` for every parameter, and the papers.
"""

from __future__ import annotations

import ast
import json
import re
import textwrap
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from dmlbench.hookspecs import Spec
from dmlbench.plugins.sources import module_file

_PARAMETER = re.compile(r"(?P<names>[a-z]\w*(?:, [a-z]\w*)*): (?P<text>.*)")


def meanings(spec: Spec, targets: Iterable[str]) -> dict[str, str]:
    """What the docstring of a spec's class says of each parameter, where it can be found.

    targets: those of all components, for a parameter that means what it does in another class.
    """
    found: dict[str, str] = {}
    for paragraph in paragraphs(spec.target):
        found |= parameters_in(paragraph, spec.target, targets)
    return {name: found[name] for name in spec.defaults if name in found}


@cache
def paragraphs(target: str) -> tuple[str, ...]:
    """The docstring of ``"package.module:Class"``, split at blank lines; empty without source."""
    module, _, name = target.partition(":")
    path = module_file(module)
    if path is None or path.suffix != ".py":
        return ()
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return ()
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return tuple(re.split(r"\n\s*\n", ast.get_docstring(node) or ""))
    return ()


def parameters_in(paragraph: str, target: str, targets: Iterable[str]) -> dict[str, str]:
    """``name: text`` with its continuation lines, for every parameter; none in a text of prose."""
    if paragraph.startswith("Args:\n"):
        paragraph = textwrap.dedent(paragraph.removeprefix("Args:\n"))
    if not _PARAMETER.match(paragraph):
        return {}
    found: dict[str, str] = {}
    names: list[str] = []
    for line in paragraph.splitlines():
        start = _PARAMETER.fullmatch(line)
        if start:
            names = start["names"].split(", ")
            found |= dict.fromkeys(names, start["text"])
        elif line.startswith(" "):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    for name, text in found.items():
        other = re.fullmatch(r"as for `(\w+)`\.", text)
        if other:
            found[name] = _of_other(name, other[1], target, targets) or text
    return found


def _of_other(name: str, class_name: str, near: str, targets: Iterable[str]) -> str | None:
    """The text of a parameter in a class that a docstring names, of the same package."""
    package = near.partition(":")[0].rpartition(".")[0]
    for target in targets:
        module, _, other = target.partition(":")
        if other == class_name and module.rpartition(".")[0] == package:
            for paragraph in paragraphs(target):
                found = parameters_in(paragraph, target, targets)
                if name in found:
                    return found[name]
    return None


def tried(spec: Spec, name: str) -> str:
    """What `dmlbench tune` tries for a parameter; empty where it leaves it alone."""
    space = spec.search.get(name)
    if not isinstance(space, Mapping):
        return _listed(space or ())
    if "choices" in space:
        text = _listed(space["choices"])
    else:
        text = f"{space['low']} to {space['high']}{', log' if space.get('log') else ''}"
    conditions = [f"{key} = {_listed(some, ' or ')}" for key, some in space.get("when", {}).items()]
    return f"{text}; if {' and '.join(conditions)}" if conditions else text


def _listed(choices: Iterable[Any], between: str = ", ") -> str:
    return between.join(json.dumps(choice) for choice in choices)
