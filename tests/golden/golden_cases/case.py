"""A case: what it computes, how closely that must be met, and what it draws on the way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: Relative to the largest number of a quantity.
FLOAT64 = 1e-7
FLOAT32 = 1e-4


@dataclass(frozen=True)
class Case:
    """One entry of the golden file.

    compute: () -> quantities by name; each a list of numbers, or another JSON value.
    tolerance: of a list of floats, relative to the largest of them in the list.
    numpy_draws: whether dmlbench draws from a generator of NumPy in it.
    """

    compute: Callable[[], dict[str, Any]]
    tolerance: float = FLOAT64
    numpy_draws: bool = False

    def run(self) -> tuple[dict[str, Any], list[str]]:
        """The quantities, and the libraries from whose generators dmlbench drew."""
        with torch.random.fork_rng(devices=[]), _Draws() as draws:
            torch.manual_seed(0)
            quantities = self.compute()
        drawn = ["numpy"] * self.numpy_draws + ["torch"] * draws.seen
        return quantities, drawn


class _Draws(TorchDispatchMode):
    """Sees whether any operation draws random numbers, from whatever generator of torch."""

    ignored = False

    def __init__(self) -> None:
        super().__init__()
        self.seen = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if torch.Tag.nondeterministic_seeded in func.tags and not _Draws.ignored:
            self.seen = True
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def weights_to_be_replaced() -> Iterator[None]:
    """Build modules here whose random weights decide nothing: their draws do not count."""
    with torch.random.fork_rng(devices=[]):
        _Draws.ignored = True
        try:
            yield
        finally:
            _Draws.ignored = False


def streams() -> dict[str, list[float]]:
    """The first numbers of each library's generator, of every kind that dmlbench draws."""
    generator = torch.Generator().manual_seed(5)
    dtypes = (torch.float32, torch.float64)
    by_torch = [
        *(torch.rand(4, generator=generator, dtype=dtype) for dtype in dtypes),
        *(torch.randn(size, generator=generator) for size in (3, 18)),
        torch.randint(7, (4,), generator=generator),
        torch.randperm(9, generator=generator),
        torch.empty(18).normal_(generator=generator),
        torch.empty(18).uniform_(-1, 1, generator=generator),
    ]
    rng = np.random.default_rng([5, 6])
    by_numpy = [
        rng.random(3),
        rng.permutation(9),
        rng.choice(9, 4, replace=False),
        rng.integers([3, 50, 7]),
        np.random.SeedSequence([5, 6]).generate_state(3, np.uint32),
    ]
    return {
        "numpy": [float(value) for part in by_numpy for value in part],
        "torch": [float(value) for part in by_torch for value in part.tolist()],
    }
