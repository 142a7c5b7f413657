"""The names of timm's models, read from its source: importing timm takes seconds, and torch."""

from __future__ import annotations

import contextlib
import difflib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from dmlbench.errors import UsageError

_MODEL = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)", re.MULTILINE)
_TAG = re.compile(r"""^\s*['"](\w+\.\w+)['"]\s*:""", re.MULTILINE)
_OLD_NAMES = re.compile(r"^register_model_deprecations\(.*?^\}?\)", re.MULTILINE | re.DOTALL)
_OLD_NAME = re.compile(r"""['"](\w+)['"]\s*:""")


@cache
def timm_names() -> frozenset[str]:
    """The models of the installed timm, without tags; empty where timm cannot be read."""
    names: set[str] = set()
    for text in _sources():
        names.update(_MODEL.findall(text))
        for block in _OLD_NAMES.findall(text):
            names.update(_OLD_NAME.findall(block))
    return frozenset(names)


@cache
def _tags() -> frozenset[str]:
    """Every ``model.tag`` that the installed timm describes."""
    return frozenset(tag for text in _sources() for tag in _TAG.findall(text))


def _sources() -> Iterator[str]:
    spec = importlib.util.find_spec("timm")
    if spec is not None and spec.origin is not None:
        for file in Path(spec.origin).parent.joinpath("models").rglob("*.py"):
            yield file.read_text("utf-8")


def is_timm_model(name: str) -> bool:
    """Whether timm has a model of this name; a tag behind a dot is not looked at."""
    model = name.partition(".")[0]
    timm = sys.modules.get("timm")
    # A plugin that imported it may have added models of its own.
    return model in timm_names() or (timm is not None and timm.is_model(model))


def closest_timm_names(name: str, cutoff: float = 0.6) -> list[str]:
    """The three names that are most like this one, or fewer; `cutoff` is difflib's."""
    return difflib.get_close_matches(name, sorted(timm_names()), n=3, cutoff=cutoff)


def check_timm_model(name: str) -> None:
    """Raise `UsageError` with the closest names unless timm has a model of this name."""
    # Where its source cannot be read, timm itself says so, before anything is trained.
    if not timm_names() or is_timm_model(name):
        return
    close = closest_timm_names(name)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    raise UsageError(
        f"There is no backbone named {name!r}, neither among the plugins nor in timm "
        f"{importlib.metadata.version('timm')}.{hint}"
    )


def check_timm_tag(name: str) -> None:
    """Raise `UsageError` with the tags there are where timm lacks that of ``model.tag``."""
    model, dot, tag = name.partition(".")
    if not dot or name in _tags():
        return
    import timm  # knows those that a plugin added, or that its source spells in another way

    known = timm.list_pretrained(f"{model}.*")
    with contextlib.suppress(RuntimeError):  # which it raises for a tag that it lacks
        if timm.get_pretrained_cfg(name, allow_unregistered=False) is not None:
            return
    tags = sorted(
        {full.partition(".")[2] for full in {*known, *_tags()} if full.startswith(f"{model}.")}
    )
    there = f"It has: {', '.join(tags)}" if tags else f"It has none; use {model}"
    raise UsageError(f"timm's {model} has no weights with the tag {tag!r}. {there}.")
