"""The feed has what RFC 4287 asks of one, and text stays text in it."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit
from xml.etree import ElementTree as XML

import pytest

from dmlbench.leaderboard.site.build import write_site
from dmlbench.leaderboard.site.feed import News, atom_feed
from dmlbench.leaderboard.site.host import Host

ATOM = "{http://www.w3.org/2005/Atom}"
FIVE = [0.5, 0.51, 0.52, 0.5, 0.51]


def news(key="0123456789abcdef", date="2026-11-28T10:00:00Z", **changes):
    values = {"title": "triplet on glyphs", "summary": "rank 1", "author": "Ada"} | changes
    return News(key=key, date=date, **values)


def check(feed: bytes) -> XML.Element:
    """Every element that RFC 4287, section 4.1, requires, once, in the form that it requires."""
    root = XML.fromstring(feed)
    assert root.tag == f"{ATOM}feed"
    seen = set()
    for element in (root, *root.findall(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
        identifier = element.findtext(f"{ATOM}id")
        assert urlsplit(identifier).scheme in ("urn", "https") and identifier not in seen
        seen.add(identifier)
        assert datetime.fromisoformat(element.findtext(f"{ATOM}updated")).tzinfo is not None
        assert element.findall(f"{ATOM}link[@rel='alternate']")
    for entry in root.findall(f"{ATOM}entry"):
        assert entry.findtext(f"{ATOM}author/{ATOM}name")
    return root


def test_the_newest_come_first_and_have_whole_addresses(hostile):
    old, new = news("a" * 16, "2026-01-01T00:00:00Z"), news("b" * 16, title=hostile)
    root = check(atom_feed("Board <b>", "https://example.org/board/", [old, new]))
    assert root.findtext(f"{ATOM}title") == "Board <b>"
    assert root.findtext(f"{ATOM}updated") == new.date
    entries = root.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [hostile, "triplet on glyphs"]
    link = entries[0].find(f"{ATOM}link").get("href")
    assert link == f"https://example.org/board/entries/{'b' * 16}.html"
    assert root.find(f"{ATOM}link[@rel='self']").get("href") == "https://example.org/board/feed.xml"


def test_without_an_address_links_are_relative():
    root = check(atom_feed("Board", "", [news()]))
    assert root.find(f"{ATOM}entry/{ATOM}link").get("href") == "entries/0123456789abcdef.html"
    assert root.find(f"{ATOM}link[@rel='self']") is None


def test_a_feed_is_not_endless_and_not_empty():
    many = [news(f"{i:016x}", f"2026-11-28T{i // 60:02}:{i % 60:02}:00Z") for i in range(80)]
    assert len(check(atom_feed("Board", "", many)).findall(f"{ATOM}entry")) == 50
    assert atom_feed("Board", "", []) is None


@pytest.fixture
def dated(make_entry):
    def make(date):
        data = make_entry("triplet", FIVE, submitter="Ada").model_dump()
        for trial in data["trials"]:
            trial["finished_at"] = date
        return type(make_entry()).model_validate(data)

    return make


def test_the_site_has_a_feed_where_entries_have_dates(dated, make_entry, tmp_path):
    entry = dated("2026-11-28T10:00:00Z")
    host = Host(title="Ours", url="https://example.org/b")
    write_site([entry, make_entry("ms", FIVE)], tmp_path / "site", host=host)
    root = check((tmp_path / "site" / "feed.xml").read_bytes())
    (one,) = root.findall(f"{ATOM}entry")
    assert one.findtext(f"{ATOM}title") == "triplet on glyphs: MAP@R 50.8"
    assert one.findtext(f"{ATOM}author/{ATOM}name") == "Ada"
    assert "rank 1–2 of 2" in one.findtext(f"{ATOM}summary")
    page = (tmp_path / "site" / "index.html").read_text()
    assert 'type="application/atom+xml"' in page and "As of" in page and "2026-11-28" in page
    write_site([make_entry("ms", FIVE)], tmp_path / "site", host=host)
    assert not (tmp_path / "site" / "feed.xml").exists()
    assert "atom+xml" not in (tmp_path / "site" / "index.html").read_text()
