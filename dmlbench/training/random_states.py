"""The process's global random states, to save, to restore and to see which one moved."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def seed_for(seed: int, name: str) -> None:
    """Set the global random states for what is called `name` in a trial of `seed`.

    What one part of a trial draws then moves no other, so configurations of one seed share
    the first weights of all that they share.
    """
    _set(_words(seed, name))


def seed_epoch(seed: int, epoch: int, device: torch.device) -> torch.Generator:
    """Set the global random states for an epoch; gives a generator for its augmentation."""
    *words, word = np.random.SeedSequence([seed, epoch]).generate_state(4, np.uint32).tolist()
    _set(words)
    return torch.Generator(device=device).manual_seed(word)


def seed_step(seed: int, name: str, step: int) -> None:
    """Set the global random states for what is called `name` at one step of training.

    Backbone, losses and combiner draw apart from each other in every step: a loss that samples
    moves no dropout mask, and draws in an ensemble what it draws alone.
    """
    words = _words(seed, name, step)
    # As `torch.manual_seed` without its look at every kind of device, which costs more than a draw.
    torch.default_generator.manual_seed(words[0])
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(words[0])
    np.random.seed(words[1])
    random.seed(words[2])


def _set(words: list[int]) -> None:
    torch.manual_seed(words[0])
    np.random.seed(words[1])
    random.seed(words[2])


def _words(seed: int, name: str, *numbers: int) -> list[int]:
    """Three seeds of 32 bits from a trial's seed and what they are for."""
    sequence = np.random.SeedSequence([seed, *_digest(name), *numbers])
    return sequence.generate_state(3, np.uint32).tolist()


@functools.lru_cache(maxsize=256)
def _digest(name: str) -> tuple[int, ...]:
    return tuple(np.frombuffer(hashlib.sha256(name.encode()).digest(), np.uint32).tolist())


def generator_for(seed: int, name: str) -> np.random.Generator:
    """A generator of its own for what is called `name` in a trial of `seed`."""
    return np.random.default_rng([seed, *_digest(name)])


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
