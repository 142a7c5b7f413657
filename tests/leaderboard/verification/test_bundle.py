"""Bundles: what entries name and nothing else, the same bytes each time, read without trust."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest
from made_board import embeddings_file
from words import refused

from dmlbench.cli import main
from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.entries.store import entry_files, read_entry
from dmlbench.leaderboard.verification.bundle import is_member_name, write_bundle
from dmlbench.leaderboard.verification.bundle_reading import Bundle, open_bundle
from dmlbench.leaderboard.verification.verify import verify


@pytest.fixture
def published(board, tmp_path) -> Path:
    """A bundle of the board, whose embeddings are then removed."""
    target = tmp_path / "elsewhere" / "board.tar"
    write_bundle(board, target)
    shutil.rmtree(board.parent.parent / ".trials")
    return target


def artefacts(board):
    return [t.embeddings for path in entry_files(board) for t in read_entry(path).completed]


def rewritten(archive: Path, how) -> Path:
    """A copy of an archive: `how` gets each (header, content) and gives those to write for it."""
    changed = archive.with_name("changed.tar")
    with tarfile.open(archive) as old, tarfile.open(changed, "w") as new:
        for info in old.getmembers():
            for header, data in how(info, old.extractfile(info).read()):
                header.size = len(data)
                new.addfile(header, io.BytesIO(data))
    return changed


def with_member(archive: Path, **fields) -> Path:
    """The archive with one more member, of these fields of its header."""
    changed = shutil.copy(archive, archive.with_name("changed.tar"))
    info = tarfile.TarInfo("more")
    for name, value in fields.items():
        setattr(info, name, value)
    with tarfile.open(changed, "a") as file:
        file.addfile(info, io.BytesIO(bytes(info.size)))
    return Path(changed)


def test_entries_are_recomputed_from_a_bundle_alone(board, published):
    assert [v.tier for v in verify(board)] == ["checked", "checked"]
    with open_bundle(str(published)) as bundle:
        found = verify(board, bundle=bundle)
    assert [v.tier for v in found] == ["recomputed", "recomputed"]
    assert not any(v.failures for v in found)
    assert not list(board.parent.parent.rglob("*.safetensors")), "nothing is unpacked"


def test_a_bundle_unpacks_beside_the_leaderboards(board, published):
    with tarfile.open(published) as archive:
        archive.extractall(board.parent.parent, filter="data")
    assert [v.tier for v in verify(board)] == ["recomputed", "recomputed"]


def test_the_same_files_give_the_same_bytes(board, tmp_path):
    write_bundle(board, tmp_path / "one.tar")
    for path in (tmp_path / ".trials").rglob("*.safetensors"):
        path.touch()
        path.chmod(0o600)
    (tmp_path / ".trials" / "private.safetensors").write_bytes(b"not named by any entry")
    write_bundle(board.parent.parent, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    with tarfile.open(tmp_path / "one.tar") as archive:
        members = archive.getmembers()
    assert [m.name for m in members] == sorted(artefact.path for artefact in artefacts(board))
    assert {(m.mtime, m.uid, m.uname, m.mode) for m in members} == {(0, 0, "", 0o644)}


def test_what_is_missing_or_changed_is_named(board, tmp_path):
    first, second = (read_entry(path) for path in entry_files(board))
    embeddings_file(board, first, 0).unlink()
    embeddings_file(board, second, 1).write_bytes(b"another")
    found = write_bundle(board, tmp_path / "some.tar")
    assert found.num_files == 2
    (missing,) = found.missing
    assert first.entry_id in missing and "seed 0" in missing
    (wrong,) = found.wrong
    assert second.entry_id in wrong and "not the file that the entry names" in wrong


def test_a_wrong_size_in_an_entry_is_named(board, tmp_path):
    """Else no reader could take the file from the bundle."""
    path = entry_files(board)[0]
    data = json.loads(path.read_text())
    data["trials"][0]["embeddings"]["num_bytes"] += 1
    path.write_text(json.dumps(data))
    found = write_bundle(board, tmp_path / "some.tar")
    assert found.num_files == 3 and len(found.wrong) == 1


def test_a_path_out_of_the_leaderboards_is_not_bundled(board, tmp_path):
    secret = tmp_path.parent / f"{tmp_path.name}-secret"
    path = entry_files(board)[0]
    entry = read_entry(path)
    shutil.copy(embeddings_file(board, entry, 0), secret)
    data = json.loads(path.read_text())
    data["trials"][0]["embeddings"]["path"] = f"../{secret.name}"
    path.write_text(json.dumps(data))
    found = write_bundle(board, tmp_path / "some.tar")
    assert found.num_files == 3 and "leads out" in found.wrong[0]


def test_without_embeddings_nothing_is_written(board, published):
    before = published.read_bytes()
    with refused(UsageError):
        write_bundle(board, published)
    assert published.read_bytes() == before


def test_a_changed_member_is_found(board, published):
    def change(info, data):
        wrong = info.name == artefacts(board)[0].path
        return [(info, data[:-1] + bytes([data[-1] ^ 1]) if wrong else data)]

    with open_bundle(str(rewritten(published, change))) as bundle:
        found = verify(board, bundle=bundle)
    (failure,) = [failure for v in found for failure in v.failures]
    assert failure.check == "embeddings" and "is not the entry's: sha256" in failure.message


def test_a_member_of_another_size_is_not_read(board, published, monkeypatch):
    longer = rewritten(published, lambda info, data: [(info, data + bytes(512))])
    with open_bundle(str(longer)) as bundle:
        found = verify(board, bundle=bundle)
    assert all("bytes, the entry says" in f.message for v in found for f in v.failures)
    assert [len(v.failures) for v in found] == [2, 2]


def test_missing_members_are_named_and_do_not_fail(board, published):
    gone = artefacts(board)[0].path
    changed = rewritten(published, lambda info, data: [(info, data)] * (info.name != gone))
    with open_bundle(str(changed)) as bundle:
        found = verify(board, bundle=bundle)
    assert sorted(v.tier for v in found) == ["checked", "recomputed"]
    (note,) = [note for v in found for note in v.notes if "no embeddings" in note]
    assert "here or in the bundle" in note and note.endswith("seeds 0")


@pytest.mark.parametrize(
    "fields, reason",
    [
        ({"name": "../outside"}, "plain relative path"),
        ({"name": "/etc/passwd"}, "plain relative path"),
        ({"name": "a/../../b"}, "plain relative path"),
        ({"name": "a\\b"}, "plain relative path"),
        ({"name": "a\x1b[31m"}, "plain relative path"),
        ({"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "link"),
        ({"type": tarfile.LNKTYPE, "linkname": "more"}, "link"),
        ({"type": tarfile.FIFOTYPE}, "regular file"),
        ({"type": tarfile.CHRTYPE}, "regular file"),
        ({"type": tarfile.DIRTYPE}, "regular file"),
        ({"pax_headers": {"GNU.sparse.size": "99999999999"}}, "regular file"),
        ({"pax_headers": {"size": "99999999999"}}, "bytes that are not there"),
        ({"pax_headers": {"size": "-512"}}, "damaged|not there"),
        ({"pax_headers": {"path": "../outside"}}, "plain relative path"),
        ({"pax_headers": {"comment": "x" * (1 << 21)}}, "header of"),
    ],
)
def test_a_hostile_archive_is_refused_whole(published, fields, reason):
    changed = with_member(published, **fields)
    with pytest.raises(VerificationError, match=reason), open_bundle(str(changed)):
        pass


def test_a_member_that_is_there_twice_is_refused(published):
    twice = rewritten(published, lambda info, data: [(info, data), (info, data)])
    with pytest.raises(VerificationError, match="twice"), open_bundle(str(twice)):
        pass


def test_too_many_members_are_refused(published, monkeypatch):
    monkeypatch.setattr("dmlbench.leaderboard.verification.bundle_reading.MAX_MEMBERS", 3)
    with refused(VerificationError, "3"):
        open_bundle(str(published)).__enter__()


@pytest.mark.parametrize("kind", ["gz", "xz", "cut", "noise", "empty"])
def test_what_is_no_plain_tar_is_refused(published, tmp_path, kind):
    path = tmp_path / "bundle.tar"
    if kind in ("gz", "xz"):
        with tarfile.open(path, f"w:{kind}") as file:
            file.addfile(tarfile.TarInfo("zeros"))
    else:
        whole = published.read_bytes()
        path.write_bytes({"cut": whole[:700], "noise": bytes(range(256)) * 9, "empty": b""}[kind])
    with pytest.raises(VerificationError), open_bundle(str(path)):
        pass


@pytest.mark.parametrize("announced", [True, False])
def test_a_bundle_from_an_address(board, published, web, announced, tmp_path):
    web.files["board.tar"] = published.read_bytes()
    web.length = announced
    with open_bundle(web.url + "board.tar") as bundle:
        kept = Path(bundle.file.name)
        assert kept.is_file()
        assert [v.tier for v in verify(board, bundle=bundle)] == ["recomputed", "recomputed"]
    assert not kept.parent.exists(), "a download is removed"
    with refused(VerificationError, "1,000"):
        open_bundle(web.url + "board.tar", most=1000).__enter__()
    with refused(VerificationError, "1,000"):
        open_bundle(str(published), most=1000).__enter__()
    with pytest.raises(UsageError, match="404"):
        open_bundle(web.url + "nothing.tar").__enter__()
    with pytest.raises(UsageError, match="http"):
        open_bundle(f"file://{published}").__enter__()


def test_a_slow_server_is_left(published, web, monkeypatch):
    module = "dmlbench.leaderboard.verification.bundle_reading"
    monkeypatch.setattr(f"{module}.MAX_DOWNLOAD_SECONDS", -1.0)
    web.files["board.tar"] = published.read_bytes()
    with refused(VerificationError):
        open_bundle(web.url + "board.tar").__enter__()


def test_names_of_members():
    assert is_member_name(".trials/0a/seed-0/embeddings.safetensors")
    for name in ("", ".", "..", "a/", "./a", "a//b", "/a", "a/../b", "a\\b", "a\nb"):
        assert not is_member_name(name), name


def test_the_commands(board, tmp_path, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            main(["leaderboard", *map(str, arguments)])
        return stop.value.code, capsys.readouterr()

    target = tmp_path / "board.tar"
    assert run("bundle", "--leaderboards", board, "--to", tmp_path / "board.tar.gz")[0] == 2
    code, said = run("bundle", "--leaderboards", board, "--to", target)
    assert code == 0 and "embeddings of 4 trials" in said.out
    entry = read_entry(entry_files(board)[0])
    embeddings_file(board, entry, 0).unlink()
    code, said = run("bundle", "--leaderboards", board, "--to", tmp_path / "rest.tar", "--json")
    assert code == 0 and len(json.loads(said.out)["missing"]) == 1
    shutil.rmtree(tmp_path / ".trials")
    code, said = run("verify", "--leaderboards", board, "--bundle", target, "--name", "me")
    assert code == 0 and said.out.endswith("\n2 recomputed.\n")
    assert len(list(board.glob("_attestations/*.json"))) == 2
    code, said = run("verify", "--leaderboards", board, "--quick", "--json")
    assert [row["tier"] for row in json.loads(said.out)] == ["recomputed", "recomputed"]
    assert run("verify", "--leaderboards", board, "--quick", "--bundle", target)[0] == 2
    assert run("verify", "--leaderboards", board, "--bundle", tmp_path / "none.tar")[0] == 2


def test_a_bundle_holds_what_several_entries_need_once(board, published):
    with open_bundle(str(published)) as bundle:
        assert isinstance(bundle, Bundle) and len(bundle.members) == 4
        assert all(bundle.read(artefact) for artefact in artefacts(board))
