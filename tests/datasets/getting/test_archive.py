"""Archives that mean no good, and those that do."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import stat
import tarfile
import zipfile

import pytest

from dmlbench.datasets.getting.archive import ArchiveError, Limits, unpack

LIMITS = Limits(100_000, 50)


def tar(path, *members, mode="w:gz"):
    """Write a tar archive of (name, content) or TarInfo members."""
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                archive.addfile(info, io.BytesIO(member[1]))
    return path


def special(name, kind, target="") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(path, *members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refuse(archive, tmp_path, match, limits=LIMITS):
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(ArchiveError, match=match):
        unpack(archive, tmp_path / "out", limits)
    assert sorted(path for path in tmp_path.rglob("*")) == before, "something was left"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives(tmp_path, mode):
    members = [special("a", tarfile.DIRTYPE), ("a/b.txt", b"one"), ("./c/d/e", b"")]
    seen = []
    unpack(tar(tmp_path / "x", *members, mode=mode), tmp_path / "out", LIMITS, seen.append)
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*")}
    assert files == {"a", "a/b.txt", "c", "c/d", "c/d/e"} and seen == [3]
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"one"


def test_zip_archives(tmp_path):
    archive = zipped(tmp_path / "x.zip", ("a/", ""), ("a/ü.txt", b"one"), ("b", b"x" * 5000))
    unpack(archive, tmp_path / "out", LIMITS)
    assert (tmp_path / "out/a/ü.txt").read_bytes() == b"one"
    assert (tmp_path / "out/b").stat().st_size == 5000


def test_modes_and_owners_are_not_taken_over(tmp_path):
    info = tarfile.TarInfo("a")
    info.mode, info.uid = 0o6777, 12345
    unpack(tar(tmp_path / "x", info), tmp_path / "out", LIMITS)
    assert (tmp_path / "out/a").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | 0o002) == 0


NAMES = [
    ("../evil", "leads out"),
    ("a/../../evil", "leads out"),
    ("a/..", "leads out"),
    ("/tmp/evil", "absolute"),
    ("//evil", "absolute"),
    ("C:/evil", "absolute"),
    ("..\\evil", "backslash"),
    ("/".join("a" * 40), "too long"),
    ("a" * 300, "too long"),
]


@pytest.mark.parametrize(("name", "match"), NAMES)
@pytest.mark.parametrize("make", [tar, zipped])
def test_names_that_lead_out(tmp_path, name, match, make):
    refuse(make(tmp_path / "x", ("good", b"1"), (name, b"2")), tmp_path, match)
    assert not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize("target", ["/etc", "..", "../..", "good", "elsewhere", "a/../../b"])
@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links(tmp_path, kind, target):
    members = [("good", b"1"), special("link", kind, target), ("link/evil", b"2")]
    refuse(tar(tmp_path / "x", *members), tmp_path, "is a link")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"Z"])
def test_devices_and_other_kinds(tmp_path, kind):
    archive = tar(tmp_path / "x", ("good", b"1"), special("device", kind))
    refuse(archive, tmp_path, "not a plain file")


def test_a_link_in_a_zip_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        info = zipfile.ZipInfo("link")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    refuse(tmp_path / "x", tmp_path, "is a link")


def test_an_encrypted_zip_archive(tmp_path):
    data = bytearray(zipped(tmp_path / "x", ("a", b"1")).read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x").write_bytes(data)
    refuse(tmp_path / "x", tmp_path, "encrypted")


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_bomb_stops_at_the_limit(tmp_path, make):
    archive = make(tmp_path / "x", ("a", b"1"), ("bomb", bytes(200_000)))
    assert archive.stat().st_size < 2000
    refuse(archive, tmp_path, r"'bomb' goes beyond the 100,000 bytes")


@pytest.mark.parametrize("make", [tar, zipped])
def test_the_limit_is_of_all_files_together_and_reached_exactly(tmp_path, make):
    members = [(str(i), bytes(50_000)) for i in range(2)]
    unpack(make(tmp_path / "x", *members), tmp_path / "exact", LIMITS)
    refuse(make(tmp_path / "y", *members, ("c", b"1")), tmp_path, "'c' goes beyond")


def test_a_zip_archive_that_lies_of_its_size(tmp_path):
    data = bytearray(zipped(tmp_path / "x", ("bomb", bytes(200_000))).read_bytes())
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    (tmp_path / "x").write_bytes(data)
    refuse(tmp_path / "x", tmp_path, "damaged|beyond")


@pytest.mark.parametrize("make", [tar, zipped])
def test_too_many_members(tmp_path, make):
    refuse(make(tmp_path / "x", *((str(i), b"") for i in range(51))), tmp_path, "beyond the 50")


def test_a_header_that_would_fill_the_memory(tmp_path):
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.XHDTYPE, 1 << 22
    (tmp_path / "x").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 22))
    refuse(tmp_path / "x", tmp_path, "header of 4,194,304 bytes")


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_name_twice(tmp_path, make):
    with pytest.warns() if make is zipped else contextlib.nullcontext():
        archive = make(tmp_path / "x", ("a", b"1"), ("a", b"2"))
    refuse(archive, tmp_path, "same name")


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_file_where_a_directory_should_be(tmp_path, make):
    refuse(make(tmp_path / "x", ("a", b"1"), ("a/b", b"2")), tmp_path, "same name")


@pytest.mark.parametrize("keep", [0, 1, 30, 300, -1, -8, -100])
@pytest.mark.parametrize("make", [tar, zipped])
def test_a_truncated_archive(tmp_path, keep, make):
    noise = random.Random(0).randbytes(3000)
    data = make(tmp_path / "whole", ("a", noise), ("b", noise)).read_bytes()
    (tmp_path / "x").write_bytes(data[:keep])
    refuse(tmp_path / "x", tmp_path, "damaged or cut off")


@pytest.mark.parametrize("make", [tar, zipped])
def test_a_flipped_bit(tmp_path, make):
    noise = random.Random(0).randbytes(3000)
    data = bytearray(make(tmp_path / "whole", ("a", noise)).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x").write_bytes(data)
    refuse(tmp_path / "x", tmp_path, "damaged")


def test_what_is_no_archive(tmp_path):
    (tmp_path / "x").write_bytes(b"<html>Sign in</html>" * 100)
    refuse(tmp_path / "x", tmp_path, "damaged")
    (tmp_path / "y").write_bytes(gzip.compress(b"no tar"))
    refuse(tmp_path / "y", tmp_path, "damaged")


def test_nothing_is_unpacked_into_a_folder_that_is_there(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        unpack(tar(tmp_path / "x", ("a", b"1")), tmp_path / "out", LIMITS)
    assert list((tmp_path / "out").iterdir()) == []
