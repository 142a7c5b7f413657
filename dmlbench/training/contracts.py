"""What a trial reads from the objects that plugins build, each checked once, where it is built.

A plugin that breaks its contract is named with what it has and what it should have, as a
`PluginError`: nothing that a user could change would help.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import nn

from dmlbench.combiners.base import Combiner
from dmlbench.errors import PluginError, UsageError


def read(component: Any, attribute: str, what: str, default: Any = None) -> Any:
    """An attribute, or the default where there is none. Raises `PluginError` where reading does.

    what: whose attribute it is, for the message, such as ``The loss x:y``.
    """
    try:
        return getattr(component, attribute, default)
    except Exception as error:
        raise PluginError(
            f"{what} has an attribute {attribute} that cannot be read: "
            f"{type(error).__name__}: {error}; tell its authors."
        ) from error


def check_module(built: Any, what: str) -> nn.Module:
    """The module itself. Raises `PluginError` for anything else."""
    if not isinstance(built, nn.Module):
        raise PluginError(
            f"{what} must build a torch.nn.Module, not {type(built).__name__}; tell its authors."
        )
    return built


def check_backbone(backbone: nn.Module, what: str) -> None:
    """Raise `PluginError` unless a backbone says its width and how to normalise its input."""
    width = read(backbone, "num_features", what)
    if type(width) is not int or width < 1:
        raise PluginError(
            f"{what} has num_features = {_shown(width)}; it must be the number of its features, a "
            f"positive int. Tell its authors."
        )
    for attribute, least in (("mean", -math.inf), ("std", 0.0)):
        values = read(backbone, attribute, what)
        numbers = values if isinstance(values, list | tuple) else ()
        good = [v for v in numbers if isinstance(v, int | float) and least < v < math.inf]
        if len(numbers) != 3 or len(good) != 3:
            above = "" if least < 0 else " above 0"
            raise PluginError(
                f"{what} has {attribute} = {_shown(values)}; it must be a tuple of three numbers"
                f"{above}, of the channels of its input. Tell its authors."
            )


def head_dims_of(target: Any, what: str, dim: int, num_losses: int, budget: str) -> list[int]:
    """The widths of a combiner's heads. Raises `UsageError` for a width that it refuses."""
    find = read(target, "head_dims", what)
    if not callable(find):
        raise PluginError(
            f"{what} has no head_dims: it must be a subclass of dmlbench.combiners.base.Combiner. "
            f"Tell its authors."
        )
    try:
        dims = find(dim, num_losses, budget)
    except ValueError as error:
        raise UsageError(f"{what[0].lower()}{what[1:]}: {error}.") from error
    except Exception as error:
        raise PluginError(
            f"{what} cannot say its head_dims: {type(error).__name__}: {error}; tell its authors."
        ) from error
    right = isinstance(dims, list | tuple) and all(type(d) is int and d >= 1 for d in dims)
    if not right or len(dims) not in (1, num_losses):
        raise PluginError(
            f"{what} has head_dims {_shown(dims)}; it must be one positive int, or one for each of "
            f"the {num_losses} losses, in a list. Tell its authors."
        )
    return list(dims)


def check_combiner(combiner: Any, what: str) -> Combiner:
    """The combiner itself. Raises `PluginError` for anything else, or one with wrong attributes."""
    if not isinstance(combiner, Combiner):
        raise PluginError(
            f"{what} must build a dmlbench.combiners.base.Combiner, not "
            f"{type(combiner).__name__}; tell its authors."
        )
    allowed: Sequence[tuple[str, tuple[Any, ...]]] = (
        ("at", ("parameters", "representation")),
        ("sees_gradients", (True, False)),
        ("combines_gradients", (True, False)),
    )
    for attribute, values in allowed:
        value = read(combiner, attribute, what)
        if not any(type(value) is type(one) and value == one for one in values):
            raise PluginError(
                f"{what} has {attribute} = {_shown(value)}; it must be "
                f"{' or '.join(map(repr, values))}. Tell its authors."
            )
    auxiliary = read(combiner, "auxiliary", what)
    if auxiliary is not None and not isinstance(auxiliary, nn.Module):
        raise PluginError(
            f"{what} has auxiliary = {_shown(auxiliary)}; it must be a torch.nn.Module or None. "
            f"Tell its authors."
        )
    return combiner


def _shown(value: Any) -> str:
    try:
        return f"{value!r:.80}"
    except Exception:
        return f"an object of {type(value).__name__}"
