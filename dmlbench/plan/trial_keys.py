"""Which trials a request means: class splits and seeds, as numbers from 0 on.

Which ones an entry has must be nobody's choice: random splits are 1 to n, the seeds 0 to n - 1 and
the same on every split.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from dmlbench.errors import UsageError
from dmlbench.statistics.intervals import Key

# What an entry's schema holds, and more than anybody trains.
_LARGEST = 10**6
_MOST = 10_000


def trial_keys(splits: int | Sequence[int], seeds: int | Sequence[int]) -> list[Key]:
    """(Split, seed) of every trial that a request means, split by split. Raises `UsageError`.

    An interrupted run thus leaves rows on the dataset's own split that can be compared.

        >>> trial_keys(2, [0, 1])
        [(0, 0), (0, 1), (1, 0), (1, 1)]
    """
    chosen, numbers = seeds_of(seeds), splits_of(splits)
    if len(chosen) * len(numbers) > _MOST:
        raise UsageError(
            f"{len(numbers)} splits of {len(chosen)} seeds are too many trials: at most {_MOST}."
        )
    return list(itertools.product(numbers, chosen))


def missing_trials(keys: Collection[Key]) -> Iterator[Key]:
    """The trials that an entry with these lacks to be ranked, in order; there may be very many.

    >>> list(missing_trials([(0, 0), (0, 1), (2, 0)]))
    [(1, 0), (1, 1), (2, 1)]
    """
    there = set(keys)
    last_split, last_seed = (max(numbers) for numbers in zip(*there, strict=True))
    first = min(1, *(split for split, _ in there))
    for split in range(first, last_split + 1):
        yield from ((split, s) for s in range(last_seed + 1) if (split, s) not in there)


def seeds_of(seeds: int | Sequence[int]) -> list[int]:
    """The seeds that a request means. Raises `UsageError`.

    seeds: how many, or which; whole numbers of any kind, NumPy's included.
    """
    return _numbers(seeds, "seeds")


def splits_of(splits: int | Sequence[int]) -> list[int]:
    """The class splits that a request means, as `seeds_of`."""
    return _numbers(splits, "splits")


def _numbers(given: int | Sequence[int], what: str) -> list[int]:
    count = _whole(given)
    if count is not None and count > _MOST:
        raise UsageError(f"{count} {what} are too many: the most is {_MOST}.")
    listed: list[int | None] = []
    if count is not None:
        listed.extend(range(count))
    elif isinstance(given, Iterable) and not isinstance(given, str | bytes | Mapping):
        listed.extend(_whole(number) for number in itertools.islice(given, _MOST + 1))
    chosen = [number for number in listed if number is not None]
    name = what.capitalize()
    if len(chosen) < len(listed):
        raise UsageError(f"{name} must be whole numbers: {given!r}.")
    if not chosen or len(set(chosen)) != len(chosen) or min(chosen) < 0:
        raise UsageError(f"{name} must be different numbers from 0 on, at least one: {given}.")
    if len(chosen) > _MOST or max(chosen) > _LARGEST:
        raise UsageError(
            f"{name} go up to {_LARGEST}, and the most at once are {_MOST}; the largest "
            f"of those given is {max(chosen)}."
        )
    return chosen


def _whole(value: object) -> int | None:
    """A whole number of any kind as an int; None for anything else, true and false included."""
    if isinstance(value, bool | str) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several numbers
        return None
