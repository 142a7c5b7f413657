"""What `dmlbench info` says of a name that nothing has: what it was close to."""

from __future__ import annotations

import difflib
import re

from dmlbench.backbones.timm_names import closest_timm_names
from dmlbench.errors import UsageError
from dmlbench.plan.recipe import recipe_names
from dmlbench.plugins.registry import KINDS, Registry


def unknown_name(name: str, registry: Registry) -> UsageError:
    """The error for a name of no kind: close names of every kind, and how entries are named."""
    hints = []
    close = _close(name, registry)
    if close:
        hints.append(f"Did you mean {' or '.join(close)}?")
    if re.fullmatch(r"[0-9a-f]{1,3}", name):
        hints.append("Give at least 4 digits of an entry id.")
    broken = [record.distribution for record in registry.plugins if record.status == "broken"]
    if broken:
        hints.append(f"These plugins failed to load: {', '.join(broken)}.")
    hints.append(
        f"`dmlbench list` shows all {', '.join(KINDS)} and recipes; entries are named by id."
    )
    kinds = ", ".join(KINDS.values())
    return UsageError(f"There is no {kinds}, recipe or entry named {name!r}. {' '.join(hints)}")


def _close(name: str, registry: Registry) -> list[str]:
    """Up to three names, each with its kind, plugins' before timm's."""
    kinds: dict[str, str] = {recipe: "recipe" for recipe in recipe_names()}
    for item in registry.components:
        for short in item.short_names(behind_prefix=False):
            kinds.setdefault(short, KINDS[item.kind])
            if ":" in name:
                prefix = name.partition(":")[0]
                if prefix in (item.distribution, item.entry_point):
                    kinds.setdefault(f"{prefix}:{short}", KINDS[item.kind])
    ours = difflib.get_close_matches(name.lower(), sorted(kinds), n=3, cutoff=0.6)
    # Of so many names some are always close: only what is nearly one of them.
    of_timm = closest_timm_names(name.lower(), cutoff=0.8)
    return [
        *(f"{close} ({kinds[close]})" for close in ours),
        *(f"{close} (backbone of timm)" for close in of_timm),
    ][:3]
