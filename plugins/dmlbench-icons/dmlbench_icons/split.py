"""Which classes train and which test."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable


def family(name: str) -> str:
    """Return the first word of a class's name, without an s at its end."""
    return name.split("-")[0].removesuffix("s")


def halves(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the training and the test classes, each sorted by name.

    Classes whose names begin with the same word ("arrow-left", "arrow-circle-up"; "user", "users")
    are variants of one drawing, and on the same side. These families are taken in the order of the
    SHA-256 of their word. One goes to training where that brings the training classes nearer to
    half of all, and to testing elsewhere.
    """
    families = defaultdict(list)
    for name in sorted(set(names)):
        families[family(name)].append(name)
    half = sum(map(len, families.values())) / 2
    training: list[str] = []
    testing: list[str] = []
    for word in sorted(families, key=lambda word: hashlib.sha256(word.encode()).digest()):
        missing = half - len(training)
        train = len(families[word]) - missing <= missing
        (training if train else testing).extend(families[word])
    return tuple(sorted(training)), tuple(sorted(testing))
