"""Descriptions of the parts of an entry, as plain text that is safe for any renderer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.plan.identity import canonical_json, one_form
from dmlbench.plan.protocol import refits


def recipe_label(entry: Entry) -> str:
    """The recipe's name with what was changed in it, such as ``quick(epochs=4)``.

    Without what a row's tuning searched: rows that differ in that alone are in one group.
    """
    name = entry.recipe.get("name")
    searched = {key for record in entry.tuning if record.kind == "row" for key in record.space}
    changed = {k: v for k, v in entry.recipe_overrides.items() if f"recipe.{k}" not in searched}
    return plain(name if isinstance(name, str) else "unnamed") + in_brackets(changed)


def protocol_label(entry: Entry) -> str:
    """The protocol's name, and whether it trains again on all classes: ``zsl-v2 (refit)``."""
    return plain(entry.protocol.name) + (" (refit)" if refits(entry.protocol.rules) else "")


def distributions(entry: Entry) -> list[str]:
    """Every distribution that a component came from, as "name version", sorted."""
    return sorted({plain(f"{r.distribution} {r.version}") for r in components_of(entry)})


def failures(entry: Entry) -> list[str]:
    """One line for each failed trial, such as ``seed 2 failed: NaN at step 40``."""
    lines = []
    for trial in sorted(entry.trials, key=lambda trial: trial.key):
        if trial.status == "failed":
            reason = plain(trial.reason or "")
            step = trial.failed_step
            if step is not None and f"step {step}" not in reason:
                reason = f"{reason.rstrip('.')} (step {step})"
            lines.append(f"{trial.title} failed: {reason}")
    return lines


def components_of(entry: Entry) -> list[ComponentRecord]:
    combiner = [entry.combiner] if entry.combiner else []
    return [*entry.losses, *combiner, entry.dataset, entry.backbone]


def one_text(value: Any) -> str:
    """One text for equal values."""
    return canonical_json(one_form(value))


def in_brackets(values: Mapping[str, Any]) -> str:
    """Parameters as one types them: ``(margin=0.1, mining=semi-hard)``."""
    if not values:
        return ""
    texts = {
        key: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        for key, value in values.items()
    }
    return f"({', '.join(f'{plain(key, 40)}={plain(text, 60)}' for key, text in texts.items())})"
