"""The augmentations that a recipe may name, and their parameters, known without torch."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from dmlbench.errors import UsageError

#: Name -> parameters with their defaults; the functions are in `dmlbench.data.transforms`.
AUGMENTATIONS: Mapping[str, Mapping[str, Any]] = {
    "shift": {"pixels": 2},
    "flip": {"probability": 0.5},
    "random_resized_crop": {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)},
    "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4},
}


def check_augmentation(step: Mapping[str, Any]) -> None:
    """Raise `UsageError` if a step of a recipe's `augment` names what there is not."""
    name = step.get("name") if isinstance(step, Mapping) else step
    if not isinstance(step, Mapping) or not isinstance(name, str) or name not in AUGMENTATIONS:
        close = difflib.get_close_matches(str(name), AUGMENTATIONS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UsageError(
            f"There is no augmentation {name!r}.{hint} Allowed: {', '.join(sorted(AUGMENTATIONS))}."
        )
    for key in step:
        if key != "name" and key not in AUGMENTATIONS[name]:
            raise UsageError(
                f"Augmentation {name} has no parameter {key!r}. "
                f"It has: {', '.join(AUGMENTATIONS[name])}."
            )
