"""Which rows may be compared, and with how much tuning each was made.

Rows compare within a group: the same dataset, class splits, backbone, pretraining, training recipe
(images seen, batch, augmentation), protocol and dimension of the evaluated embedding. Parameters of
losses and combiners separate nothing. Learning rates do not either where a tuning record says that
they were searched: such a row belongs to the group of the rates that its tuning started from, which
is that of the untuned rows of the same recipe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dmlbench.leaderboard.entries.descriptions import recipe_label
from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry
from dmlbench.plan.config import sha256_of
from dmlbench.plan.identity import canonical_json, field_defaults, one_form, without_defaults
from dmlbench.plan.recipe import Recipe

# Parts of a recipe that do not decide whether rows compare: its name is a label; the backbone used
# and the evaluated dimension are in the key themselves.
_NOT_COMPARED = ("name", "summary", "backbone", "embedding_dim", "pca_dim")
# Rules of a protocol that say how the heads of an ensemble share the dimension: what matters is the
# dimension that is evaluated. A single loss of an ensemble's dimension belongs to its group.
_DIMENSION_RULES = ("width", "dim_budget")
_RATES = "recipe.optimizer."


def group_key(entry: Entry) -> str:
    """A short hash that is equal for exactly the rows that may be compared (12 hex digits)."""
    return sha256_of(group_parts(entry))[:12]


def group_parts(entry: Entry) -> dict[str, Any]:
    """What rows must have in common to be compared."""
    backbone = entry.identity_json()["backbone"]
    recipe = without_defaults(_untuned(entry), field_defaults(Recipe))
    rules = {k: v for k, v in entry.protocol.rules.items() if k not in _DIMENSION_RULES}
    splits = entry.splits
    return {
        "dataset": entry.dataset.fingerprint,
        "backbone": [backbone["distribution"], backbone["name"], backbone["params"]],
        "weights": entry.backbone.weights_sha256,
        "recipe": {k: v for k, v in recipe.items() if k not in _NOT_COMPARED},
        "protocol": rules,
        "embedding_dim": entry.embedding_dim,
        # The dataset's own split goes without saying.
        **({"splits": splits} if splits not in ([], [0]) else {}),
    }


def grouped(entries: Iterable[Entry]) -> dict[str, list[Entry]]:
    """Entries by group key, groups in an order that a person would look for them in."""
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.entry_id):
        groups.setdefault(group_key(entry), []).append(entry)

    def place(key: str) -> tuple[Any, ...]:
        first = groups[key][0]
        names = (first.dataset.name, first.protocol.name, first.backbone.name, recipe_label(first))
        return (*names, first.embedding_dim, key)

    return {key: groups[key] for key in sorted(groups, key=place)}


def tuning_trials(entry: Entry) -> int:
    """How many settings were tried in all for a row, as its records list them; 0 without a record.

    In schema 1 each loss was tuned by itself, and a combination took the losses as they were: there
    the longest record counts.
    """
    whole = sum(len(record.trials) for record in entry.tuning if record.kind == "row")
    parts = (len(record.trials) for record in entry.tuning if record.kind != "row")
    return whole + max(parts, default=0)


def tuning_label(entry: Entry) -> str | None:
    """``5 trials``, ``defaults`` or ``untuned parameters``: how a row's parameters were chosen.

    None for schema 1 without a record, which does not say what the defaults were.
    """
    if entry.tuning:
        count = tuning_trials(entry)
        return f"{count} trial{'s' * (count != 1)}"
    if entry.identity is None:
        return None
    identity = entry.identity_json()
    components = [*identity["losses"], *([identity["combiner"]] if identity["combiner"] else [])]
    rates = identity["recipe"].get("optimizer", {})
    chosen = any(component["params"] for component in components) or any(
        key.removeprefix(_RATES) in rates for key in _rates(entry.recipe_overrides)
    )
    return "untuned parameters" if chosen else "defaults"


def tuned_as_a_row(entry: Entry) -> bool:
    """Whether all values of the configuration were searched together."""
    return any(record.kind == "row" for record in entry.tuning)


def untuned_components(entry: Entry) -> tuple[list[ComponentRecord], ComponentRecord | None]:
    """Losses and combiner of an entry without the parameters that its tuning searched.

    What is left says which component it is whatever values were found: those found on one dataset,
    or beside other losses, are not those found on another.
    """
    searched = {key for record in entry.tuning if record.kind == "row" for key in record.space}
    losses, firsts = [], dict[str, int]()
    for i, loss in enumerate(entry.losses):
        # The copies of a loss are searched as one, under the index of the first.
        text = canonical_json([loss.distribution, loss.name, one_form(loss.params)])
        losses.append(_without(loss, f"losses[{firsts.setdefault(text, i)}].", searched))
    combiner = entry.combiner
    return losses, None if combiner is None else _without(combiner, "combiner.", searched)


def _without(record: ComponentRecord, prefix: str, keys: Collection[str]) -> ComponentRecord:
    kept = {name: value for name, value in record.params.items() if prefix + name not in keys}
    return record.model_copy(update={"params": kept})


def _untuned(entry: Entry) -> Mapping[str, Any]:
    """The recipe with the learning rates that its tuning started from.

    The first tuning trial has them (`TuningRecord`). Rates that no tuning trial has are the row's.
    """
    optimizer = entry.recipe.get("optimizer")
    if not entry.tuning or not isinstance(optimizer, dict):
        return entry.recipe
    start = {
        key.removeprefix(_RATES): value
        for record in entry.tuning
        if record.kind == "row" and record.trials
        for key, value in record.trials[0].params.items()
        if key in _rates(record.space)
    }
    return {**entry.recipe, "optimizer": {**optimizer, **start}}


def _rates(values: Mapping[str, Any]) -> list[str]:
    """The keys of learning rates, as ``recipe.optimizer.head_lr``, among searched or set values."""
    keys = [key if key.startswith("recipe.") else f"recipe.{key}" for key in values]
    return [key for key in keys if key.startswith(_RATES) and key.endswith("_lr")]
