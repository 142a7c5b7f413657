"""Dates and addresses of entries."""

from __future__ import annotations

import pytest

from dmlbench.errors import UsageError
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.running.assemble import Origin

REFUSED = [
    "javascript:alert(1)",
    "ftp://host/file",
    "https://",
    "https://user@host/",
    "https://host:0/",
    "https://host/a b",
    'https://host/"onclick=',
    "https://host/<b>",
    "https://[::1",
    f"https://host/{'a' * 500}",
]


@pytest.mark.parametrize("link", REFUSED)
def test_a_link_that_is_no_plain_web_address_is_refused(link, make_entry):
    with pytest.raises(ValueError, match="address"):
        Entry.model_validate(make_entry().model_dump() | {"paper": link})
    with pytest.raises(UsageError, match=r"^--code: "):
        Origin(code=link)


def test_an_entry_carries_links_and_the_date_of_its_newest_trial(make_entry):
    entry = make_entry(paper="https://arxiv.org/abs/2107.01130", code="http://host:8080/a?b=c#d")
    assert entry.date is None
    data = entry.model_dump()
    for trial, day in zip(data["trials"], ("02", "31", "07"), strict=True):
        trial["finished_at"] = f"2026-01-{day}T12:00:00Z"
    assert Entry.model_validate(data).date == "2026-01-31T12:00:00Z"
    for wrong in ("2026-01-31", "2026-02-30T12:00:00Z", "2026-1-31T12:00:00Z", "2026-01-31 12:00"):
        data["trials"][0]["finished_at"] = wrong
        with pytest.raises(ValueError, match="is not a UTC time"):
            Entry.model_validate(data)


def test_what_an_older_entry_does_not_say_changes_no_hash_of_it(make_entry):
    entry = make_entry()
    data = entry.model_dump()
    for field in ("head_parameters", "paper", "code"):
        del data[field]
    for trial in data["trials"]:
        del trial["finished_at"], trial["cost"]["process_seconds"], trial["cost"]["device_seconds"]
    assert Entry.model_validate(data).content_sha256() == entry.content_sha256()
