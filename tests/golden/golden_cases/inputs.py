"""Fixed inputs from an integer hash, and a few numbers that stand for a whole tensor."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

_PROJECTIONS = 2


def uniform(name: str, *shape: int) -> np.ndarray:
    """Numbers between -1 and 1, float64, that depend on the name and the place alone."""
    with np.errstate(over="ignore"):
        x = np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64)
        x = x * np.uint64(0x9E3779B97F4A7C15) + np.uint64(zlib.crc32(name.encode()) << 20)
        # The finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return ((x >> np.uint64(11)).astype(np.float64) / 2.0**52 - 1).reshape(shape)


def tensor(name: str, *shape: int) -> Tensor:
    """`uniform` as a float64 tensor."""
    return torch.from_numpy(uniform(name, *shape))


def fix_weights(module: nn.Module) -> None:
    """Put fixed numbers in place of a module's random weights; those that are all equal stay."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            if parameter.numel() > 1 and not bool((parameter == parameter.flatten()[0]).all()):
                scale = parameter.shape[-1] ** -0.5
                parameter.copy_(tensor(name, *parameter.shape) * scale)


def summary(values: Tensor | np.ndarray) -> list[float]:
    """The Euclidean length of all numbers, and two projections on fixed directions."""
    flat = torch.as_tensor(values).detach().double().flatten()
    directions = tensor("directions", _PROJECTIONS, flat.numel()) if flat.numel() else ()
    return [float(flat.norm()), *(float(flat @ direction) for direction in directions)]


def whole(values: Tensor | Iterable[float]) -> list[float]:
    """All numbers, in their order."""
    return torch.as_tensor(values).detach().double().flatten().tolist()
