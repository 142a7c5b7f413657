"""Which trials an audit trains again, and which seeds a confirmation uses.

Both follow from the entry's content and a salt, so its author could not have chosen them: whoever
knows the salt only after the entry was submitted cannot make the other trials up. An attestation
names its salt, and what it should have drawn is computed again whenever it is read.
"""

from __future__ import annotations

import secrets

from pydantic import TypeAdapter, ValidationError

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.attestation import Attestation, Salt
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.plan.identity import sha256_of

#: Fresh seeds lie from here to the largest that a trial may have, far from those of runs.
FIRST_FRESH_SEED = 100_000
_FRESH_SEEDS = 900_001
MOST_FRESH_SEEDS = 1000


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
    """(Split, seed) of the `count` trials that an audit trains again, all if there are fewer."""
    content = entry.content_sha256()
    keys = [trial.key for trial in entry.trials]
    return sorted(keys, key=lambda key: sha256_of([salt, content, *key]))[:count]


def fresh_seeds(entry: Entry, salt: str, count: int) -> list[int]:
    """`count` different seeds, at most `MOST_FRESH_SEEDS`, that the entry does not have."""
    content = entry.content_sha256()
    used = {trial.seed for trial in entry.trials}
    seeds: list[int] = []
    number = 0
    while len(seeds) < count:
        drawn = int(sha256_of([salt, content, "fresh", number])[:12], 16) % _FRESH_SEEDS
        seed = FIRST_FRESH_SEED + drawn
        if seed not in used and seed not in seeds:
            seeds.append(seed)
        number += 1
    return seeds


def drawn_by_its_salt(entry: Entry, attestation: Attestation) -> bool:
    """Whether an attestation has exactly the trials or seeds that its salt draws."""
    found = {trial.key for trial in attestation.trials}
    if attestation.salt is None:
        return True
    if attestation.kind == "audited":
        return found == set(drawn_trials(entry, attestation.salt, len(found)))
    if len(found) > MOST_FRESH_SEEDS:
        return False
    return found == {(0, seed) for seed in fresh_seeds(entry, attestation.salt, len(found))}
