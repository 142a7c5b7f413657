"""Names of the original implementation (efficientnet-lite-pytorch) to timm's.

There the blocks are in one row; in timm they are by stage, and a block's modules are named for
their place: in the first one, which does not widen, the projection is the pointwise convolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")

_BLOCKS_OF_STAGE = (1, 2, 2, 3, 3, 4, 1)
_PLACES = [(stage, i) for stage, count in enumerate(_BLOCKS_OF_STAGE) for i in range(count)]

_AROUND = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_NOT_WIDENING = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_WIDENING = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def timm_names(state: Mapping[str, Value]) -> dict[str, Value]:
    """The same values by timm's names; what has none keeps its own, for the loader to name it."""
    return {_timm_name(name): value for name, value in state.items()}


def _timm_name(name: str) -> str:
    match name.split("."):
        case ["_blocks", number, module, leaf] if number.isdigit() and int(number) < len(_PLACES):
            stage, index = _PLACES[int(number)]
            modules = _WIDENING if stage else _NOT_WIDENING
            return f"blocks.{stage}.{index}.{modules.get(module, module)}.{leaf}"
        case [module, leaf] if module in _AROUND:
            return f"{_AROUND[module]}.{leaf}"
    return name
