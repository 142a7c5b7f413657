"""The command that trains an entry again, spelled from nothing but the entry."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.plan.config import canonical_json
from dmlbench.plan.expressions import parse_assignment, parse_call
from dmlbench.plan.protocol import dim_budget_of, refits, similarity_of
from dmlbench.plan.recipe import recipe_from_json, recipe_names
from dmlbench.plan.writing import toml_document, write_call, write_copies, write_value

RECIPE_FILE = "recipe.toml"


@dataclass(frozen=True)
class RerunCommand:
    """How to train an entry again.

    lines: the command, an option per line; joined by a backslash and a newline they are one.
    recipe_text: what the file `RECIPE_FILE` must hold; None for a recipe of the package.
    """

    lines: tuple[str, ...]
    recipe_text: str | None

    @property
    def command(self) -> str:
        return " \\\n  ".join(self.lines)


def rerun_command(entry: Entry) -> RerunCommand:
    """Spell every choice of an entry, defaults included, so later defaults change nothing.

    Raises `UsageError` where the command line has no words for it, saying for what.
    """
    if not entry.trials:
        raise UsageError(
            f"Entry {entry.entry_id} has no trial, so there is no seed to train again."
        )
    recipe, recipe_text = _recipe(canonical_json(entry.recipe))
    rules = entry.protocol.rules
    losses = write_copies(map(_call, entry.losses))
    lines = ["dmlbench run", f"--losses {_argument(','.join(losses))}"]
    if entry.combiner is None:
        lines.append("--combiner none")
    else:
        lines.append(f"--no-singles --combiner {_argument(_call(entry.combiner))}")
    lines += [
        f"--dataset {_argument(_call(entry.dataset))}",
        f"--backbone {_argument(_call(entry.backbone))}",
        *recipe,
        f"--dim-budget {_argument(_words(dim_budget_of(rules)))}",
        f"--set {_assignment('protocol.validation_fraction', rules.get('validation_fraction'))}",
        *_similarity(rules),
        *(["--refit"] if refits(rules) else []),
        f"--seeds {_numbers(trial.seed for trial in entry.trials)}",
        *_splits(entry),
    ]
    return RerunCommand(tuple(lines), recipe_text)


def _similarity(rules: Mapping[str, Any]) -> list[str]:
    """The option for embeddings that are not compared by cosine."""
    similarity = similarity_of(rules)
    if similarity == "cosine":
        return []
    return [f"--set {_assignment('protocol.similarity', similarity)}"]


@lru_cache(maxsize=64)
def _recipe(recipe_json: str) -> tuple[list[str], str | None]:
    """The options that choose a recipe, and the text of the file where it is not packaged.

    Kept, for the entries of a leaderboard share few recipes.
    """
    recipe = recipe_from_json(json.loads(recipe_json), source="the entry")
    if recipe.name in recipe_names():
        changed = [f"--set {_assignment(f'recipe.{k}', v)}" for k, v in recipe.overrides().items()]
        return [f"--recipe {_argument(recipe.name)}", *changed], None
    values = {k: v for k, v in recipe.to_json().items() if k != "summary"}
    return [f"--recipe {RECIPE_FILE}"], toml_document(values)


def _splits(entry: Entry) -> list[str]:
    """The option for class splits, where there are others than the dataset's own."""
    splits = {trial.split for trial in entry.trials}
    return [f"--splits {_numbers(splits)}"] if splits != {0} else []


def _numbers(values: Iterable[int]) -> str:
    text = ",".join(map(str, sorted(set(values))))
    # One number alone would be a count.
    return text if "," in text else f"{text},"


def _call(record: ComponentRecord) -> str:
    """``distribution:name(key=value, ...)``, made sure to be read as what it stands for."""
    name = f"{record.distribution}:{record.name}"
    text = write_call(name, dict(sorted(record.params.items())))
    _read_back(parse_call, text, (name, record.params), f"the parameters of {name}")
    return text


def _assignment(key: str, value: Any) -> str:
    text = f"{key}={write_value(value)}"
    _read_back(parse_assignment, text, (key, value), f"the value of {key}")
    return _argument(text)


def _read_back(parse: Callable[[str], Any], text: str, meant: Any, what: str) -> None:
    """Make sure that the command line reads what was meant. Raises `UsageError`."""
    try:
        read = parse(text)
    except UsageError:
        read = None
    if read != meant:
        raise UsageError(f"The command line has no words for {what}.")


def _words(value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(
            f"The protocol's dimension budget is {value!r}, which is not a known value."
        )
    return value


def _argument(text: str) -> str:
    """Text as one word of a shell; what a terminal does not show is refused, for people copy it."""
    if not text.isprintable():
        raise UsageError("A name or value of this entry has characters that do not print.")
    return shlex.quote(text)
