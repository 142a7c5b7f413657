"""What the attestations of an entry, taken together, say of it.

Nothing is believed of an attestation but its numbers: what they show is computed here. One that
the entry's own submitter made counts for nothing, and so does one that was not drawn by its salt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dmlbench.leaderboard.entries.attestation import DRAWN, Attestation
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.verification.agreement import (
    Agreement,
    agreement,
    on_fresh_splits,
    recomputed,
)
from dmlbench.leaderboard.verification.drawing import drawn_by_its_salt

_DOES = {
    "recomputed": "computed its metrics again",
    "audited": "trained drawn trials again",
    "reproduced": "trained it again",
    "confirmed": "trained it on fresh trials",
}


@dataclass(frozen=True)
class Attested:
    """The highest tier that attestations give, or None, and what a reader should know.

    notes: one line for each that was looked at. against: those that do not agree, in words.
    wrong: those whose numbers are not computed from what the entry names.
    on: of the tier "confirmed", what was fresh: "splits" (and seeds), or "seeds" alone.
    """

    tier: str | None
    notes: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    on: str | None = None


def attested(entry: Entry, attestations: Sequence[Attestation]) -> Attested:
    """Judge every attestation of an entry."""
    content = entry.content_sha256()
    notes: list[str] = []
    against: list[str] = []
    wrong: list[str] = []
    tiers: set[str] = set()
    again: set[tuple[int, int]] = set()
    fresh = "seeds"
    for attestation in attestations:
        who = plain(attestation.who)
        of = f"{attestation.kind} by {who} on {attestation.made[:10]}"
        if not attestation.is_of(entry, content):
            notes.append(f"void, because the entry was changed since: {of}")
            continue
        if attestation.kind == "recomputed":
            if not recomputed(entry, attestation):
                wrong.append(f"{of}: its numbers are not the entry's")
                continue
            outcome = Agreement("equal", "every metric computed again from the embeddings.")
        elif not drawn_by_its_salt(entry, attestation):
            notes.append(f"does not count, because its trials are not those of its salt: {of}")
            continue
        else:
            outcome = agreement(entry, attestation)
        notes.append(f"{of}: {outcome.sentence}")
        if outcome.verdict == "disagrees":
            # Also where the author says so.
            against.append(f"{who} {_DOES[attestation.kind]}: {outcome.sentence}")
        elif attestation.is_by_author_of(entry):
            notes[-1] = f"does not count, because its author made the entry or is unnamed: {of}"
        elif outcome.reproduced and attestation.kind == "reproduced":
            again |= {trial.key for trial in attestation.trials}
        elif outcome.reproduced:
            tiers.add(attestation.kind)
            if attestation.kind == "confirmed" and on_fresh_splits(attestation):
                fresh = "splits"
    wanted = {trial.key for trial in entry.trials}
    if again and again >= wanted:
        tiers.add("reproduced")
    elif again and not tiers & {*DRAWN}:
        notes.append(f"{len(again)} of {len(wanted)} trials reproduced; the tier needs all")
    if against:
        tiers &= {"recomputed"}
    order = [*_DOES]
    found = max(tiers, key=order.index, default=None)
    on = fresh if found == "confirmed" else None
    return Attested(found, tuple(notes), tuple(against), tuple(wrong), on)
