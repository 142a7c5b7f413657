"""Every parameter of a row, as a frame, CSV and JSON have them: nothing that a label leaves out."""

from __future__ import annotations

from typing import Any

from dmlbench.leaderboard.entries.entry import ComponentRecord, Entry

#: The columns of parameters.
PARAMETERS = (
    "loss_params",
    "combiner_params",
    "dataset_params",
    "backbone_params",
    "recipe_params",
    "tuned_params",
)


def parameters(entry: Entry) -> dict[str, Any]:
    """The columns of `PARAMETERS`, as JSON values.

    loss_params: a table per loss, in order; the others are tables. A component's has its
    ``name``, as ``distribution:name``, beside its parameters.
    recipe_params: the whole recipe. tuned_params: of the values above those that tuning searched,
    by keys such as ``losses[0].margin``; empty for a row that was not tuned as a whole.
    """
    return {
        "loss_params": [_component(loss) for loss in entry.losses],
        "combiner_params": _component(entry.combiner) if entry.combiner else None,
        "dataset_params": _component(entry.dataset),
        "backbone_params": _component(entry.backbone),
        "recipe_params": dict(entry.recipe),
        "tuned_params": _tuned(entry),
    }


def no_parameters() -> dict[str, Any]:
    """The columns of a row whose parameters nobody recorded."""
    return {name: [] if name == "loss_params" else None for name in PARAMETERS}


def _component(record: ComponentRecord) -> dict[str, Any]:
    return {"name": f"{record.distribution}:{record.name}", "params": dict(record.params)}


def _tuned(entry: Entry) -> dict[str, Any]:
    values = {
        f"recipe.optimizer.{key}": value
        for key, value in _table(entry.recipe.get("optimizer")).items()
    }
    for i, loss in enumerate(entry.losses):
        values |= {f"losses[{i}].{key}": value for key, value in loss.params.items()}
    if entry.combiner is not None:
        values |= {f"combiner.{key}": value for key, value in entry.combiner.params.items()}
    searched = {key for record in entry.tuning if record.kind == "row" for key in record.space}
    return {key: values[key] for key in sorted(searched & values.keys())}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
