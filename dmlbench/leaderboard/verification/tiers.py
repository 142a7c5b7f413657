"""How far a row can be trusted: its tier, as it holds now.

unverified   a published number, or an entry that fails verification
checked      schema and invariants hold
recomputed   the metrics were computed again from the stored embeddings, and are equal
audited      trials drawn at random after submission were trained again, and agree
reproduced   all trials were trained again, and agree
confirmed    trained on seeds, and maybe class splits, that the author did not choose, and the
             results agree

An author can give himself none of the last four: what a submitter attests of his own entry counts
for nothing, and neither does what nobody's name stands behind.

A tier is never stored. It follows from the entry and the attestations beside it, each time again:
an entry that was changed later loses what was attested of it, and so does one whose embeddings
were. Embeddings that are here and are older than the attestation are taken to be unchanged,
because reading them all would make showing a table slow; `verify` reads them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.files import file_sha256, resolved
from dmlbench.leaderboard.entries.attestation import attestation_files, read_attestations
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import leaderboard_folders, read_entry, submission_files
from dmlbench.leaderboard.entries.trial import Artefact
from dmlbench.leaderboard.verification.attested import attested
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.training.trial_folder import TRIALS

TIERS = ("unverified", "checked", "recomputed", "audited", "reproduced", "confirmed")
#: Of these somebody else than the submitter trained at least a part again.
TRAINED_AGAIN = TIERS[3:]


@dataclass(frozen=True)
class Verification:
    """What is known of an entry without its embeddings: its tier, and what does not hold.

    issues: a sentence for each failed check, changed embedding and attestation that disagrees.
    confirmed_on: for the tier "confirmed", what was fresh: "seeds" or "splits" (and seeds);
        otherwise None.
    """

    tier: str
    issues: tuple[str, ...] = ()
    confirmed_on: str | None = None


def tier(entry: Entry, folder: str | Path) -> str:
    """The tier of one entry of the leaderboard in `folder`."""
    return Tiers(folder).verification(entry).tier


class Tiers:
    """Verifies entries by their own numbers and the attestations in a folder, read once.

    folder: a leaderboard, a protocol's folder or the root of all, as `read_leaderboards` takes it.
    """

    def __init__(self, folder: str | Path) -> None:
        self._files: dict[str, list[Path]] = {}
        # By identity: to hash an entry takes as long as to judge it. Kept, so no id is reused.
        self._judged: dict[int, tuple[Entry, Verification]] = {}
        for leaderboard in leaderboard_folders(folder):
            for entry_id, paths in attestation_files(leaderboard).items():
                self._files.setdefault(entry_id, []).extend(paths)

    def attested(self, entry_id: str) -> bool:
        """Whether there are attestations of entries with this id."""
        return entry_id in self._files

    def verification(self, entry: Entry) -> Verification:
        """What holds of an entry; reads its attestations, not its embeddings."""
        if id(entry) not in self._judged:
            self._judged[id(entry)] = entry, self.judge(entry)
        return self._judged[id(entry)][1]

    def judge(self, entry: Entry) -> Verification:
        """As `verification`, of which nothing is kept."""
        failures = check_entry(entry)
        if failures:
            return Verification("unverified", tuple(f"{f.check}: {f.message}" for f in failures))
        paths = self._files.get(entry.entry_id, [])
        if not paths:
            return Verification("checked")
        attestations, problems = read_attestations(paths)
        changed = _changed_since(entry, paths)
        if changed:
            return Verification("checked", (*problems, *changed))
        found = attested(entry, attestations)
        return Verification(found.tier or "checked", (*problems, *found.against), found.on)


def verified_by_checks(entry: Entry) -> Verification:
    """The verification of an entry that is in no folder: attestations count for nothing."""
    failures = check_entry(entry)
    issues = tuple(f"{failure.check}: {failure.message}" for failure in failures)
    return Verification("unverified" if failures else "checked", issues)


def of_another_submission(entry: Entry, leaderboard: Path, sha256: str) -> bool:
    """Whether embeddings are those of another submission of the same configuration.

    Submissions share the place where embeddings are stored. Whoever trains a published row again
    in the same folder has them there; they say nothing against the published ones.
    """
    for path in submission_files(leaderboard, entry.entry_id):
        try:
            other = read_entry(path)
        except VerificationError:
            continue
        hashes = {trial.embeddings.sha256 for trial in other.completed if trial.embeddings}
        if other != entry and sha256 in hashes:
            return True
    return False


def embeddings_path(leaderboard: Path, artefact: Artefact) -> Path | None:
    """Where an entry's embeddings are, or None for a path that leads out of the leaderboards."""
    out = resolved(leaderboard).parent.parent
    try:
        path = resolved(out / artefact.path)
        # A scratch disk is often linked there; what is behind it belongs to the leaderboards.
        trials = resolved(out / TRIALS)
    except (OSError, RuntimeError, ValueError):  # a loop of links, or a name that no file has
        return None
    return path if path.is_relative_to(out) or path.is_relative_to(trials) else None


def _changed_since(entry: Entry, attestations: Sequence[Path]) -> list[str]:
    """Embeddings that are here, were written after the newest attestation, and are other ones."""
    leaderboard = attestations[0].parent.parent
    newest = max(path.stat().st_mtime_ns for path in attestations)
    changed = []
    for trial in entry.completed:
        if trial.embeddings is None:
            continue
        path = embeddings_path(leaderboard, trial.embeddings)
        if path is None or not path.is_file():
            continue
        status = path.stat()
        if status.st_size == trial.embeddings.num_bytes and status.st_mtime_ns <= newest:
            continue
        found = file_sha256(path)
        if found != trial.embeddings.sha256 and not of_another_submission(
            entry, leaderboard, found
        ):
            changed.append(f"the embeddings of {trial.title} were changed")
    return changed
