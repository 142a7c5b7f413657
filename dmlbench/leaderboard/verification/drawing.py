"""Which trials an audit trains again, and which seeds and class splits a confirmation uses.

Both follow from the entry's content and a salt, so its author could not have chosen them: whoever
knows the salt only after the entry was submitted cannot make the other trials up. An attestation
names its salt, and what it should have drawn is computed again whenever it is read.
"""

from __future__ import annotations

import itertools
import secrets

from pydantic import TypeAdapter, ValidationError

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.attestation import Attestation, Salt
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.identity import sha256_of
from dmlbench.statistics.intervals import Key

#: Fresh seeds and splits are from here to the largest there may be, far from those of runs.
FIRST_FRESH = 100_000
_FRESH = 900_001
#: Trials of a confirmation.
MOST_FRESH = 1000


def new_salt() -> str:
    """A salt that nobody can have known before."""
    return secrets.token_hex(8)


def check_salt(salt: str) -> str:
    """The salt itself. Raises `UsageError` for one that no attestation could hold."""
    try:
        return TypeAdapter(Salt).validate_python(salt)
    except ValidationError as error:
        raise UsageError(
            "--salt takes up to 64 letters, digits or signs of ASCII, without spaces."
        ) from error


def drawn_trials(entry: Entry, salt: str, count: int) -> list[tuple[int, int]]:
    """(Split, seed) of the trials that an audit trains again.

    `count` of those that completed, all if there are fewer, and as many of those that failed: a
    failure says nothing of the row's numbers, and yet a rival's row with invented ones ranks low.
    """
    content = entry.content_sha256()
    keys = sorted(
        (trial.key for trial in entry.trials), key=lambda key: sha256_of([salt, content, *key])
    )
    completed = {trial.key for trial in entry.completed}
    return [
        *[key for key in keys if key in completed][:count],
        *[key for key in keys if key not in completed][:count],
    ]


def fresh_trials(entry: Entry, salt: str, seeds: int, splits: int = 0) -> list[Key]:
    """(Split, seed) of the trials of a confirmation, none of which the entry has.

    seeds: how many, at most `MOST_FRESH`; splits: how many fresh class splits, each of which is
        trained with every one of them; 0 for the dataset's own split.
    """
    used_splits, used_seeds = (
        {number for number in numbers}
        for numbers in zip(*(trial.key for trial in entry.trials), strict=True)
    )
    content = entry.content_sha256()
    chosen = _fresh([salt, content, "fresh"], used_seeds, seeds)
    drawn = _fresh([salt, content, "fresh split"], used_splits, splits) if splits else [0]
    return list(itertools.product(drawn, chosen))


def _fresh(drawn_by: list[str], used: set[int], count: int) -> list[int]:
    """`count` different numbers that are not used."""
    found: dict[int, None] = {}
    number = 0
    while len(found) < count:
        drawn = FIRST_FRESH + int(sha256_of([*drawn_by, number])[:12], 16) % _FRESH
        if drawn not in used:
            found[drawn] = None
        number += 1
    return list(found)


def drawn_by_its_salt(entry: Entry, attestation: Attestation) -> bool:
    """Whether an attestation has exactly the trials or seeds that its salt draws."""
    found = {trial.key for trial in attestation.trials}
    if attestation.salt is None:
        return True
    if attestation.kind == "audited":
        completed = len(found & {trial.key for trial in entry.completed})
        count = max(completed, len(found) - completed)
        return found == set(drawn_trials(entry, attestation.salt, count))
    if len(found) > MOST_FRESH or not entry.trials:
        return False
    splits, seeds = (set(numbers) for numbers in zip(*found, strict=True))
    fresh_splits = 0 if splits == {0} else len(splits)
    return found == set(fresh_trials(entry, attestation.salt, len(seeds), fresh_splits))
