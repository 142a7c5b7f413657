"""Weights of a file into a network that they were made for, or a refusal that says where not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from dmlbench.errors import UsageError

# What training scripts put around a network's state, and wrappers before its names.
_CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model_state_dict", "model", "weights")
_WRAPPERS = ("module.", "_orig_mod.")
_NAMED = 4  # keys that an error names


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict that `torch.save` wrote.

    Nothing but tensors is ever unpickled. Containers (``{"state_dict": ...}``) and the prefixes of
    wrappers (``module.``) are taken off. Raises `UsageError` for any other file.
    """
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises nearly anything on what it cannot read
        raise UsageError(
            f"The weights {path} are neither safetensors (named .safetensors) nor a state dict "
            f"that can be read without running code: {' '.join(str(error).split())[:200]}. Save "
            f"one with torch.save(model.state_dict(), FILE) where you trust the file."
        ) from error
    for name in _CONTAINERS:
        if isinstance(state, Mapping) and isinstance(state.get(name), Mapping):
            state = state[name]
            break
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UsageError(
            f"The weights {path} hold no state dict (names to tensors), neither at the top nor "
            f"under {', '.join(_CONTAINERS)}."
        )
    for prefix in _WRAPPERS:
        if state and all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items()}
    return dict(state)


def load_weights(
    network: nn.Module, state: Mapping[str, Tensor], source: Any, classifiers: Sequence[str] = ()
) -> None:
    """Put weights into a network without its classifier.

    source: what the file is called in errors. classifiers: names of the modules whose weights are
        passed over.
    Raises `UsageError` that names keys that are missing, unexpected or of another shape.
    """
    given = {
        key: value
        for key, value in state.items()
        if not any(key == name or key.startswith(f"{name}.") for name in classifiers)
    }
    wanted = network.state_dict()
    # Checkpoints from before PyTorch 0.4.1 lack these counters, which decide nothing here.
    missing = [k for k in wanted if k not in given and not k.endswith("num_batches_tracked")]
    unexpected = [key for key in given if key not in wanted]
    shapes = [
        f"{key} {tuple(given[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    if missing or unexpected or shapes:
        problems = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
        listed = "; ".join(f"{what}: {_some(keys)}" for what, keys in problems if keys)
        raise UsageError(
            f"The weights {source} do not fit the network. {listed}. Name the model that they "
            f"were trained as with --backbone, or save them under its names."
        )
    broken = [k for k, v in given.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise UsageError(f"The weights {source} hold numbers that are not finite: {_some(broken)}.")
    network.load_state_dict(given, strict=False)


def _some(keys: Iterable[str]) -> str:
    keys = list(keys)
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
