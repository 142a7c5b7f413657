"""The process's global random states, to save, to restore and to see which one moved."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_for(seed: int, name: str) -> None:
    """Set the global random states for what is called `name` in a trial of `seed`.

    What one part of a trial draws then moves no other, so that configurations of one seed share
    the first weights of all that they share.
    """
    digest = hashlib.sha256(name.encode()).digest()
    words = np.random.SeedSequence(
        [seed, *np.frombuffer(digest, np.uint32).tolist()]
    ).generate_state(3, np.uint32)  # fmt: skip
    torch.manual_seed(int(words[0]))
    np.random.seed(int(words[1]))
    random.seed(int(words[2]))


def random_states() -> dict[str, Any]:
    """The states by library: "torch", "random", "numpy" and, where there is one, "torch.cuda"."""
    states = {
        "torch": torch.get_rng_state(),
        "random": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
    }
    if torch.cuda.is_available():
        states["torch.cuda"] = torch.cuda.get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Put back what `random_states` returned."""
    torch.set_rng_state(states["torch"])
    random.setstate(states["random"])
    np.random.set_state(states["numpy"])
    if "torch.cuda" in states:
        torch.cuda.set_rng_state(states["torch.cuda"])


def moved_since(states: Mapping[str, Any]) -> list[str]:
    """The libraries whose state is no longer that of `states`."""
    return [name for name, state in random_states().items() if not _same(state, states[name])]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return all(_same(one[key], other[key]) for key in one)
    if isinstance(one, np.ndarray | torch.Tensor):
        return bool((one == other).all())
    return one == other
