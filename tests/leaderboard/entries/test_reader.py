"""Properties of the reader: whatever the file, an entry or a refusal that names it."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.entries.attestation import read_attestation
from dmlbench.leaderboard.entries.entry import Entry, parse_entry
from dmlbench.leaderboard.entries.published_store import FOLDERS, read_published_beside
from dmlbench.leaderboard.entries.store import read_entries, read_entry, write_entry
from dmlbench.leaderboard.verification.checks import check_entry

QUICK = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30),
    st.sampled_from([10**400, -(10**30), "\ud800", "\x00", "NaN", 1e308]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                                max_size=3),
    max_leaves=8,
)  # fmt: skip


def refused_or_read(text: str | bytes) -> Entry | None:
    try:
        return parse_entry(text, "the-file")
    except VerificationError as error:
        message = str(error)
        assert message.startswith("the-file") and len(message) < 2000
        assert "\x1b" not in message
        return None


def paths(value, prefix=()):
    yield prefix
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*prefix, key))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield from paths(value[i], (*prefix, i))


def replaced(data, path, value):
    data = copy.deepcopy(data)
    at = data
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return data


@QUICK
@given(data=st.binary(max_size=400))
def test_any_bytes(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bytes")
    path = folder / f"{'0' * 16}.json"
    path.write_bytes(data)
    entries, problems = read_entries(folder)
    assert entries == [] and len(problems) == 1 and str(path) in problems[0]


@QUICK
@given(value=values)
def test_any_json(value):
    assert refused_or_read(json.dumps(value)) is None


@QUICK
@given(data=st.data())
def test_an_entry_with_one_value_changed(make_entry, data):
    """It is refused, or it can be checked, shown, and written so that it reads back the same."""
    good = make_entry("triplet+ms", [0.5, 0.51], combiner="wedl", epochs=2).model_dump()
    path = data.draw(st.sampled_from([p for p in paths(good) if p]))
    entry = refused_or_read(json.dumps(replaced(good, path, data.draw(values))))
    if entry is not None:
        assert parse_entry(entry.to_text(), "again") == entry
        assert parse_entry(entry.to_text(), "again").to_text() == entry.to_text()
        assert all(failure.message for failure in check_entry(entry))
        assert len(leaderboard_frame([entry])) == 1


@QUICK
@given(data=st.data())
def test_an_entry_cut_off_or_with_a_piece_lost(make_entry, data):
    text = make_entry("ms", [0.5, 0.6], epochs=2).to_text()
    start = data.draw(st.integers(0, len(text) - 2))
    stop = data.draw(st.sampled_from([len(text), min(len(text), start + 7)]))
    refused_or_read(text[:start] + text[stop:])
    if stop == len(text):
        assert refused_or_read(text[:start]) is None


@QUICK
@given(keys=st.text(min_size=1, max_size=20))
def test_a_field_nobody_knows(make_entry, keys):
    data = make_entry(map_at_r=[0.5], epochs=1).model_dump()
    for place in (data, data["dataset"], data["trials"][0], data["trials"][0]["metrics"]):
        if keys not in place:
            place[keys] = 1
            assert refused_or_read(json.dumps(data)) is None
            del place[keys]


@QUICK
@given(seeds=st.lists(st.integers(0, 6), min_size=1, max_size=6, unique=True))
def test_only_the_first_seeds_stand_the_checks(make_entry, seeds):
    values = [0.5 + i / 100 for i in range(len(seeds))]
    failed = {failure.check for failure in check_entry(make_entry(map_at_r=values, seeds=seeds))}
    assert failed == (set() if seeds == list(range(len(seeds))) else {"seeds"})


def test_one_bad_file_of_each_kind_stops_nothing(make_entry, tmp_path):
    good = write_entry(tmp_path, make_entry())
    folder = good.parent
    bad = {
        "truncated": good.read_bytes()[:-200],
        "not-utf8": b"\xff\xfe" + good.read_bytes(),
        "deep": b'{"a":' * 100_000,
        "wide": b"[" + b"0," * 500_000 + b"0]",
        "empty": b"",
        "digits": b'{"schema_version": ' + b"9" * 10_000 + b"}",
        "repeated": good.read_bytes().replace(b'"trials"', b'"losses"'),
    }
    for name, data in bad.items():
        (folder / f"{name}.json").write_bytes(data)
    with open(folder / "enormous.json", "wb") as file:
        file.truncate(2**33)
    (folder / "a folder.json").mkdir()
    (folder / "loop.json").symlink_to(folder / "loop.json")
    entries, problems = read_entries(folder)
    assert [entry.entry_id for entry in entries] == [good.stem]
    names = [*bad, "enormous", "a folder", "loop"]
    assert len(problems) == len(names)
    for name in names:
        assert sum(f"{name}.json" in problem for problem in problems) == 1, name


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"[" * 10**5, b'{"a": 1}'])
@pytest.mark.parametrize("folder", FOLDERS)
def test_other_records_are_read_as_strictly(tmp_path, folder, data):
    path = tmp_path / folder / "x.json"
    path.parent.mkdir()
    path.write_bytes(data)
    published, problems = read_published_beside(tmp_path)
    assert published == [] and len(problems) == 1 and str(path) in problems[0]
    with pytest.raises(VerificationError, match="x.json"):
        read_attestation(path)
    with pytest.raises(VerificationError, match="x.json"):
        read_entry(path)
