"""The names of timm's models, read from its source: importing timm takes seconds, and torch."""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import re
import sys
from functools import cache
from pathlib import Path

from dmlbench.errors import UsageError

_MODEL = re.compile(r"^@register_model\b.*\n(?:@.*\n)*def (\w+)", re.MULTILINE)
_OLD_NAMES = re.compile(r"^register_model_deprecations\(.*?^\}?\)", re.MULTILINE | re.DOTALL)
_OLD_NAME = re.compile(r"""['"](\w+)['"]\s*:""")


@cache
def timm_names() -> frozenset[str]:
    """The models of the installed timm, without tags; empty where timm cannot be read."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return frozenset()
    names: set[str] = set()
    for file in Path(spec.origin).parent.joinpath("models").rglob("*.py"):
        text = file.read_text("utf-8")
        names.update(_MODEL.findall(text))
        for block in _OLD_NAMES.findall(text):
            names.update(_OLD_NAME.findall(block))
    return frozenset(names)


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
