"""Defaults, which a configuration's identity leaves out: of components, recipe and protocol."""

from __future__ import annotations

import json
from typing import Any

from dmlbench.backbones import BACKBONES
from dmlbench.combiners import COMBINERS
from dmlbench.data.augmentations import AUGMENTATIONS
from dmlbench.datasets import DATASETS
from dmlbench.losses import LOSSES
from dmlbench.plan.identity import field_defaults
from dmlbench.plan.protocol import Protocol
from dmlbench.plan.recipe import Recipe
from golden_cases.case import Case


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A table's values by dotted key, as JSON has them."""
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update(_flat(value, f"{prefix}{key}."))
        else:
            found[prefix + key] = json.loads(json.dumps(value))
    return found


def cases() -> dict[str, Case]:
    kinds = {"loss": LOSSES, "combiner": COMBINERS, "dataset": DATASETS, "backbone": BACKBONES}
    tables = {
        f"{kind} {spec.name}": dict(spec.defaults)
        for kind, specs in kinds.items()
        for spec in specs
    }
    tables |= {f"augmentation {name}": dict(values) for name, values in AUGMENTATIONS.items()}
    tables |= {"recipe": field_defaults(Recipe), "protocol": field_defaults(Protocol)}
    return {
        f"defaults of {name}": Case(lambda table=table: _flat(table), tolerance=1e-9)
        for name, table in tables.items()
    }
