"""Downloads from a server that breaks off, changes its mind, or lies."""

from __future__ import annotations

import errno
import hashlib
import json

import pytest
from words import refused

from dmlbench.datasets.getting import download as module
from dmlbench.datasets.getting.download import ChecksumError, DownloadError, download, matches

BODY = bytes(range(256)) * 400  # 102,400 bytes
SHA256 = "sha256:" + hashlib.sha256(BODY).hexdigest()
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()


@pytest.fixture
def get(web, tmp_path):
    """Download the server's file `a.bin`, without waiting between attempts."""
    web.files["a.bin"] = BODY

    def call(checksum: str = "", **options):
        return download(
            web.url + "a.bin", tmp_path / "a.bin", checksum, wait=lambda seconds: None, **options
        )

    return call


def left(tmp_path) -> list[str]:
    return sorted(path.name for path in tmp_path.iterdir())


@pytest.mark.parametrize("checksum", ["", SHA256, MD5, MD5.upper().replace("MD5", "md5")])
def test_a_whole_file(get, tmp_path, checksum):
    seen = []
    had = get(checksum, progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "a.bin").read_bytes() == BODY and had.num_bytes == len(BODY)
    assert matches(SHA256, had.digests) and matches(MD5, had.digests)
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))
    assert left(tmp_path) == ["a.bin"]


def test_a_broken_connection_is_gone_on_with_where_it_ended(get, web, tmp_path):
    web.etags["a.bin"] = '"one"'
    web.cut = [1000, 2000]
    get(SHA256)
    assert [span for _, span in web.asked] == [None, "bytes=1000-", "bytes=3000-"]
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_an_interrupted_download_is_gone_on_with_by_the_next_call(get, web, tmp_path):
    web.etags["a.bin"] = '"one"'

    def interrupt(done, total):
        if done >= 5000:
            raise KeyboardInterrupt

    web.cut = [5000]
    with pytest.raises(KeyboardInterrupt):
        get(progress=interrupt)
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    web.asked.clear()
    get()
    assert web.asked == [("a.bin", "bytes=5000-")]
    assert (tmp_path / "a.bin").read_bytes() == BODY and left(tmp_path) == ["a.bin"]


def test_a_truncated_answer_is_never_taken_for_the_file(get, web, tmp_path):
    web.etags["a.bin"] = '"one"'
    web.cut = [5000, *[0] * 20]
    with refused(DownloadError, "5,000", "102,400"):
        get()
    assert left(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    assert len(web.asked) == 1 + module.ATTEMPTS


def test_a_server_without_ranges_starts_again(get, web, tmp_path):
    web.ranges = False
    web.etags["a.bin"] = '"one"'
    web.cut = [1000, 2000]
    get(SHA256)
    assert (tmp_path / "a.bin").read_bytes() == BODY and len(web.asked) == 3


def test_a_server_that_says_nothing_of_versions_is_asked_for_all_of_it(get, web, tmp_path):
    web.cut = [1000]
    get()
    assert [span for _, span in web.asked] == [None, None]
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_with_a_checksum_a_part_without_a_version_is_used(get, web):
    web.cut = [1000]
    get(MD5)
    assert [span for _, span in web.asked] == [None, "bytes=1000-"]


@pytest.mark.parametrize("versions", ["etags", "modified"])
def test_parts_of_two_versions_are_never_put_together(get, web, tmp_path, versions):
    getattr(web, versions)["a.bin"] = '"one"'
    web.cut = [1000, *[0] * 20]
    with pytest.raises(DownloadError):
        get()
    other = BODY[::-1]
    web.cut, web.files["a.bin"] = [], other
    getattr(web, versions)["a.bin"] = '"two"'
    get()
    assert (tmp_path / "a.bin").read_bytes() == other


def test_a_weak_etag_is_no_version(get, web, tmp_path):
    web.etags["a.bin"] = 'W/"one"'
    web.cut = [1000]
    get()
    assert [span for _, span in web.asked] == [None, None]


def test_a_file_of_another_length_without_a_version_is_noticed(get, web):
    web.cut = [1000, *[0] * 20]
    with pytest.raises(DownloadError):
        get(MD5)
    web.cut, web.files["a.bin"] = [], BODY + b"more"
    with refused(DownloadError, "102,404", "102,400"):
        get(MD5)


def test_a_file_that_became_shorter_than_its_part_starts_again(get, web, tmp_path):
    web.cut = [1000, *[0] * 20]
    with pytest.raises(DownloadError):
        get(MD5)
    web.cut, web.files["a.bin"] = [], b"short"
    with pytest.raises(ChecksumError):
        get(MD5)
    assert left(tmp_path) == []


def test_a_part_of_another_address_is_not_used(get, web, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 100)
    state = {"url": "http://elsewhere/a.bin", "validator": '"one"', "total": len(BODY)}
    (tmp_path / "a.bin.part.json").write_text(json.dumps(state))
    get()
    assert (tmp_path / "a.bin").read_bytes() == BODY


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_damaged_notes_of_a_part_start_again(get, tmp_path, text):
    (tmp_path / "a.bin.part").write_bytes(b"x" * 100)
    (tmp_path / "a.bin.part.json").write_text(text)
    get()
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_part_that_is_whole_already_is_checked_and_taken(get, web, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(BODY)
    state = {"url": web.url + "a.bin", "validator": None, "total": len(BODY)}
    (tmp_path / "a.bin.part.json").write_text(json.dumps(state))
    get(SHA256)
    assert web.asked == [] and left(tmp_path) == ["a.bin"]


def test_a_wrong_checksum_names_both_and_keeps_nothing(get, web, tmp_path):
    wrong = "md5:" + "0" * 32
    with pytest.raises(ChecksumError) as caught:
        get(wrong)
    assert wrong in str(caught.value) and MD5 in str(caught.value)
    assert left(tmp_path) == []


def test_an_answer_of_unknown_length(get, web, tmp_path):
    web.length = False
    assert get(SHA256).num_bytes == len(BODY)
    web.cut = [1000]
    with pytest.raises(ChecksumError):
        get(SHA256)


def test_a_missing_file_is_not_asked_for_again(get, web, tmp_path):
    del web.files["a.bin"]
    with refused(DownloadError, "404"):
        get()
    assert len(web.asked) == 1


def test_a_busy_server_is_asked_again(get, web, tmp_path):
    web.status = [503, 429]
    get()
    assert (tmp_path / "a.bin").read_bytes() == BODY


def test_a_login_page_is_not_the_file(get, web, tmp_path):
    web.kind = "text/html; charset=utf-8"
    with refused(DownloadError, "a.bin"):
        get()
    assert left(tmp_path) == []


def test_no_server_at_all(tmp_path):
    waits = []
    with refused(DownloadError, "4 attempts"):
        download("http://127.0.0.1:9/a", tmp_path / "a", wait=waits.append)
    assert waits == [1, 2, 4]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a", "a.bin"])
def test_other_addresses_are_refused(tmp_path, url):
    with refused(DownloadError, url):
        download(url, tmp_path / "a")


def test_a_full_disk_ends_it_at_once_and_says_so(get, web, tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "open", full, raising=False)
    with refused(DownloadError, "a.bin.part"):
        get()
    assert len(web.asked) == 1


def test_too_little_room_is_noticed_before_it_is_filled(get, web, tmp_path, monkeypatch):
    class Usage:
        free = len(BODY) - 1

    monkeypatch.setattr(module.shutil, "disk_usage", lambda folder: Usage)
    with refused(DownloadError, "102,400", "102,399"):
        get()
    assert len(web.asked) == 1 and not (tmp_path / "a.bin").exists()
