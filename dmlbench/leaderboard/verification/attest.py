"""Records that an entry's metrics were computed again."""

from __future__ import annotations

from pathlib import Path

from dmlbench.leaderboard.entries.attestation import (
    Attestation,
    AttestedTrial,
    attestation_files,
    read_attestations,
    write_attestation,
)
from dmlbench.leaderboard.entries.origin import now
from dmlbench.leaderboard.verification.agreement import recomputed
from dmlbench.leaderboard.verification.verify_entry import Verified


def attest(verified: Verified, who: str) -> Path | None:
    """Record that an entry's metrics were computed again.

    None where not all of them were, or `who` has recorded so before.
    """
    entry = verified.entry
    if entry is None or verified.failures:
        return None
    if {trial.key for trial in entry.completed} != verified.recomputed.keys() or not entry.trials:
        return None
    recorded, _ = read_attestations(attestation_files(verified.path.parent).get(entry.entry_id, []))
    content = entry.content_sha256()
    for attestation in recorded:
        if attestation.who == who and attestation.is_of(entry, content):
            if recomputed(entry, attestation):
                return None
    from dmlbench.plan.identity import current_code
    from dmlbench.version import __version__

    attestation = Attestation(
        schema_version=1,
        kind="recomputed",
        entry_id=entry.entry_id,
        entry_sha256=content,
        who=who,
        made=now(),
        dmlbench_version=__version__,
        code_sha256=current_code({}),
        fingerprint=verified.fingerprint,
        trials=[
            AttestedTrial(
                split=trial.split,
                seed=trial.seed,
                metrics=verified.recomputed[trial.key],
                reason=None,
                embeddings_sha256=trial.embeddings.sha256,
                environment={},
            )
            for trial in entry.completed
        ],
    )
    return write_attestation(verified.path.parent, attestation)
