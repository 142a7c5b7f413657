"""Links that lead out of a folder of leaderboards are not followed, and every command says so."""

from __future__ import annotations

import json
import shutil

import pytest

from dmlbench.cli import main
from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.attestation import (
    attestation_files,
    read_attestations,
    require_room,
)
from dmlbench.leaderboard.entries.published_store import read_all_published
from dmlbench.leaderboard.entries.reading import read_text
from dmlbench.leaderboard.entries.store import (
    entry_path,
    leaderboard_folders,
    linked_out,
    read_leaderboards,
    write_entry,
)
from dmlbench.leaderboard.verification.submit import add
from dmlbench.leaderboard.verification.verify import verify

WORDS = "is a link that leads out of"


@pytest.fixture(params=["dataset", "protocol"])
def boards(request, make_entry, tmp_path):
    """Leaderboards of which one, or the protocol's folder above it, lies elsewhere."""
    out = tmp_path / "boards"
    write_entry(out, make_entry("ms", [0.4], dataset="here"))
    elsewhere = write_entry(tmp_path / "private", make_entry("triplet", [0.5], dataset="there"))
    if request.param == "dataset":
        (out / "zsl-v1" / "there").symlink_to(elsewhere.parent)
    else:
        (out / "linked").symlink_to(elsewhere.parent.parent)
    return out


def _run(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    captured = capsys.readouterr()
    return stop.value.code, captured.out + captured.err


def test_what_links_lead_to_is_no_row(boards, tmp_path, capsys):
    entries, problems = read_leaderboards(boards)
    assert [entry.dataset.name for entry in entries] == ["here"]
    (problem,) = problems
    assert WORDS in problem and f"{boards} and is not followed" in problem
    assert [folder.name for folder in leaderboard_folders(boards)] == ["here"]
    (failed,) = [found for found in verify(boards, embeddings=False) if found.failures]
    assert failed.path in linked_out(boards) and WORDS in failed.failures[0].message
    for command in (["show"], ["site", tmp_path / "site"]):
        code, text = _run(capsys, "leaderboard", *command, "--leaderboards", boards)
        assert code == 0 and WORDS in text
    audit = ["audit", "--no-record", "--unconfined", "--name", "me"]
    code, text = _run(capsys, "leaderboard", *audit, "--leaderboards", boards)
    assert code == 1 and "not audited" in text and WORDS in text


def test_a_link_that_is_named_is_followed(boards, tmp_path):
    """So are links within the leaderboards."""
    (tmp_path / "link").symlink_to(tmp_path / "private")
    entries, problems = read_leaderboards(tmp_path / "link")
    assert [entry.dataset.name for entry in entries] == ["there"] and not problems
    (link,) = linked_out(boards)
    assert read_leaderboards(link)[1] == []
    (boards / "copy").symlink_to(boards / "zsl-v1", target_is_directory=True)
    assert len(read_leaderboards(boards)[0]) == 2


def test_nothing_is_written_where_links_lead_out(make_entry, tmp_path):
    """A run would train for hours, and its entry would not be read."""
    out = tmp_path / "boards"
    (tmp_path / "private").mkdir()
    (out / "zsl-v1").mkdir(parents=True)
    (out / "zsl-v1" / "there").symlink_to(tmp_path / "private")
    entry = make_entry("ms", [0.4], dataset="there")
    with pytest.raises(UsageError, match=WORDS):
        entry_path(out, "zsl-v1", "there", entry.entry_id)
    (tmp_path / "entry.json").write_text(entry.to_text())
    (refused,) = add(str(tmp_path / "entry.json"), out)
    assert refused.outcome == "refused" and WORDS in refused.problems[0]
    assert not list((tmp_path / "private").iterdir())


@pytest.mark.parametrize("folder", ["_attestations", "_published"])
def test_what_lies_beside_entries_is_not_read_through_a_link(folder, make_entry, tmp_path):
    board = write_entry(tmp_path / "boards", make_entry("ms", [0.4], dataset="x")).parent
    (tmp_path / "private").mkdir()
    secret = {"schema_version": 1, "password-of-somebody": 1}
    (tmp_path / "private" / f"{'a' * 16}.json").write_text(json.dumps(secret))
    (board / folder).symlink_to(tmp_path / "private")
    if folder == "_attestations":
        (paths,) = attestation_files(board).values()
        found, problems = read_attestations(paths)
        with pytest.raises(UsageError, match=WORDS):
            require_room(board)
    else:
        found, problems = read_all_published(tmp_path / "boards")
    assert not found and WORDS in problems[0] and "password" not in problems[0]


def test_a_folder_that_is_added_gives_no_file_from_elsewhere(make_entry, tmp_path):
    given = tmp_path / "a" / "b" / "given"
    path = write_entry(tmp_path / "private", make_entry("ms", [0.4]))
    given.mkdir(parents=True)
    (given / path.name).symlink_to(path)
    (refused,) = add(str(given), tmp_path / "boards")
    assert refused.outcome == "refused" and WORDS in refused.problems[0]
    with pytest.raises(VerificationError, match=WORDS):
        read_text(given / path.name, root=given)
    shutil.copy(path, given / "own.json")
    outcomes = [addition.outcome for addition in add(str(given), tmp_path / "boards")]
    assert sorted(outcomes) == ["added", "refused"]
