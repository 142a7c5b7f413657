"""Attestations: what somebody found who computed an entry's metrics again, or trained it again.

``<leaderboard>/_attestations/<entry id>.<kind>.<hash of the content>.json``. One holds for exactly
the entry whose content it names: a later change of the entry voids it. It records numbers and
never a judgement: whether they agree with the entry's is computed whenever it is read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from dmlbench.errors import UsageError, VerificationError
from dmlbench.files import require_writable, write_text
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.parsing import parse_record
from dmlbench.leaderboard.entries.reading import read_text, require_inside
from dmlbench.leaderboard.entries.record import MOST_TRIALS, Count, Name, Record, Sha256
from dmlbench.leaderboard.entries.trial import Metrics, keys_text, trial_title

SCHEMA_VERSION = 1
# No dataset can be called so, for a dataset's name starts with a letter or a digit.
FOLDER = "_attestations"

Kind = Literal["recomputed", "audited", "reproduced", "confirmed"]
# Trials or seeds of these kinds are drawn by a salt that the entry's author did not know.
DRAWN: tuple[Kind, ...] = ("audited", "confirmed")
#: Who attests where no name is given; such an attestation counts for nothing.
UNNAMED = "unnamed"


#: What trials or seeds are drawn by.
Salt = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]


class AttestedTrial(Record):
    """What was found for one seed on one class split.

    metrics: None where the training failed, for the `reason` given.
    embeddings_sha256: of the file that the metrics were computed from.
    """

    split: Count = 0
    seed: Count
    metrics: Metrics | None
    reason: str | None
    embeddings_sha256: Sha256 | None
    environment: dict[str, JsonValue]

    @property
    def key(self) -> tuple[int, int]:
        """Split and seed, as `Trial.key`."""
        return self.split, self.seed


class Attestation(Record):
    """Somebody's own numbers for an entry.

    entry_sha256: of the entry's content. who: as the attester wants to be known. made: UTC.
    fingerprint: of the dataset as the attester has it; None where it was not at hand.
    salt: what the trials or seeds were drawn by (`dmlbench.leaderboard.verification.drawing`).
    code_sha256: of the code that trained (as `entry_code` has it) or computed the metrics.
    """

    schema_version: Literal[1]
    kind: Kind
    entry_id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    entry_sha256: Sha256
    who: Name
    made: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
    dmlbench_version: Name
    code_sha256: Sha256
    fingerprint: Sha256 | None
    trials: Annotated[list[AttestedTrial], Field(min_length=1, max_length=MOST_TRIALS)]
    salt: Salt | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Attestation:
        if (self.salt is not None) != (self.kind in DRAWN):
            raise ValueError(f"a salt belongs to the kinds {' and '.join(DRAWN)}, and to no other")
        keys = [trial.key for trial in self.trials]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a seed appears twice among the trials: {keys_text(keys)}")
        for trial in self.trials:
            if (trial.metrics is None) == (trial.reason is None):
                raise ValueError(
                    f"the trial of {trial_title(*trial.key)} needs metrics or a reason"
                )
        return self

    @property
    def file_name(self) -> str:
        return f"{self.entry_id}.{self.kind}.{self.content_sha256()[:16]}.json"

    def is_by_author_of(self, entry: Entry) -> bool:
        """Whether the entry's submitter made it, by the names that both give, or nobody named."""
        who = _person(self.who)
        return who == _person(UNNAMED) or (
            entry.submitter is not None and who == _person(entry.submitter)
        )

    def is_of(self, entry: Entry, entry_sha256: str | None = None) -> bool:
        """Whether it was made for this entry as it is now."""
        return self.entry_sha256 == (entry_sha256 or entry.content_sha256())


def _person(name: str) -> str:
    """A name in one form, whatever its case, spaces and lookalike letters of one kind."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def require_room(leaderboard: Path) -> None:
    """Raise `UsageError` where no attestation could be recorded beside the entries there."""
    try:
        require_inside(leaderboard / FOLDER, leaderboard)
    except VerificationError as error:
        raise UsageError(str(error)) from error
    require_writable(leaderboard / FOLDER, "What was found would be recorded there.")


def write_attestation(leaderboard: str | Path, attestation: Attestation) -> Path:
    """Record an attestation beside the entries of a leaderboard; never over another one."""
    path = Path(leaderboard) / FOLDER / attestation.file_name
    if not path.exists():
        write_text(path, attestation.to_text())
    return path


def read_attestation(path: str | Path) -> Attestation:
    """Read one file. Raises `VerificationError` that names it and says what is wrong with it."""
    path = Path(path)
    attestation = parse_record(Attestation, read_text(path), str(path), SCHEMA_VERSION)
    if path.name != attestation.file_name:
        raise VerificationError(
            f"{path}: its content belongs into {attestation.file_name}; it was changed after it "
            f"was made."
        )
    return attestation


def attestation_files(leaderboard: str | Path) -> dict[str, list[Path]]:
    """The attestations of a leaderboard by entry id, unread."""
    files: dict[str, list[Path]] = {}
    for path in sorted((Path(leaderboard) / FOLDER).glob("*.json")):
        files.setdefault(path.name.partition(".")[0], []).append(path)
    return files


def read_attestations(paths: Sequence[Path]) -> tuple[list[Attestation], list[str]]:
    """Read files; those that cannot be trusted become a line that names each and says why."""
    found: list[Attestation] = []
    problems: list[str] = []
    for path in paths:
        try:
            found.append(read_attestation(path))
        except VerificationError as error:
            problems.append(str(error))
    return found, problems
