"""Files of published results: ``<out>/<protocol>/<dataset>/_claims/<claim id>.json``."""

from __future__ import annotations

from pathlib import Path

from dmlbench.errors import VerificationError
from dmlbench.files import write_text
from dmlbench.leaderboard.entries.claim import SCHEMA_VERSION, Claim
from dmlbench.leaderboard.entries.parsing import parse_record
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.store import entry_path, leaderboard_folders

FOLDER = "_claims"


def parse_claim(text: str, source: str) -> Claim:
    """Read a claim from JSON text. Raises `VerificationError` that names the file and field."""
    return parse_record(Claim, text, source, SCHEMA_VERSION)


def read_claim(path: Path) -> Claim:
    """Read one file. Raises `VerificationError` that names it and says what is wrong with it."""
    claim = parse_claim(read_text(path), str(path))
    if path.name != f"{claim.claim_id}.json":
        raise VerificationError(
            f"{path}: its content belongs into {claim.claim_id}.json; it was changed after it was "
            f"made."
        )
    return claim


def claim_files(leaderboard: str | Path) -> list[Path]:
    """The files beside a leaderboard's entries that should be claims, by name."""
    return sorted((Path(leaderboard) / FOLDER).glob("*.json"))


def read_claims(leaderboard: str | Path) -> tuple[list[Claim], list[str]]:
    """The claims beside a leaderboard's entries, and a line for each file refused."""
    claims: list[Claim] = []
    problems: list[str] = []
    for path in claim_files(leaderboard):
        try:
            claims.append(read_claim(path))
        except VerificationError as error:
            problems.append(str(error))
    return claims, problems


def read_all_claims(
    folder: str | Path, dataset: str | None = None
) -> tuple[list[Claim], list[str]]:
    """The claims of all leaderboards under a folder, or of one dataset; as `read_claims`."""
    claims: list[Claim] = []
    problems: list[str] = []
    for leaderboard in leaderboard_folders(folder):
        found, refused = read_claims(leaderboard)
        claims += [claim for claim in found if dataset in (None, claim.dataset)]
        problems += refused
    return claims, problems


def write_claim(out: str | Path, claim: Claim) -> tuple[Path, bool]:
    """Write a claim; gives its path, and whether it is new."""
    folder = entry_path(out, claim.protocol, claim.dataset, claim.claim_id).parent
    path = folder / FOLDER / f"{claim.claim_id}.json"
    new = not path.exists()
    if new:
        write_text(path, claim.to_text())
    return path, new
