"""The entry's strict schema: each tampering is refused by name."""

from __future__ import annotations

import json

import pytest
from words import refused

from dmlbench.errors import VerificationError
from dmlbench.leaderboard.entries.entry import parse_entry


def tampered(entry, path: str, value) -> str:
    data = json.loads(entry.to_text())
    *parents, last = path.split(".")
    place = data
    for part in parents:
        place = place[int(part) if isinstance(place, list) else part]
    place[last] = value
    return json.dumps(data)


METRICS = "trials.0.metrics"
TAMPERINGS = {
    "recall falls in K": (f"{METRICS}.recall_at.8", 0.1, "Recall@K decreases in K"),
    "MAP@R above R-Precision": (f"{METRICS}.map_at_r", 0.9, "MAP@R 0.9 is above R-Precision"),
    "a recall of half a hit": (f"{METRICS}.recall_at.1", 0.70005, "not a whole number of 1000"),
    "a recall above one": (f"{METRICS}.recall_at.8", 1.5, "less than or equal to 1"),
    "no recall at 1": (f"{METRICS}.recall_at", {"2": 0.8}, "lacks Recall@1"),
    "a K that is no number": (f"{METRICS}.recall_at.x", 0.9, "not a number from 1"),
    "a number as text": (f"{METRICS}.map_at_r", "0.5", "valid number"),
    "a fraction of queries": (f"{METRICS}.num_queries", 10.5, "valid integer"),
    "an unknown field": ("surprise", 1, "surprise: Extra inputs are not permitted"),
    "another parameter": ("losses.0.params", {"margin": 9}, "not the hash of the configuration"),
    "another recipe": ("recipe", {"epochs": 99}, "not the hash of the configuration"),
    "another protocol": ("protocol.rules", {"name": "mine"}, "hash does not match its rules"),
    "another id": ("entry_id", "0" * 16, "not the hash of the configuration"),
    "a seed twice": ("trials.1.seed", 0, "a seed appears twice"),
    "completed without metrics": (METRICS, None, "completed but has no metrics"),
    "failed with metrics": ("trials.0.status", "failed", "needs a reason and no metrics"),
    "another status": ("trials.0.status", "fine", "'completed' or 'failed'"),
    "a hash that is none": ("core_sha256", "abc", "String should match pattern"),
}


@pytest.mark.parametrize("path, value, message", TAMPERINGS.values(), ids=TAMPERINGS)
def test_tampering_is_refused_and_named(make_entry, path, value, message):
    text = tampered(make_entry(), path, value)
    with pytest.raises(VerificationError, match="stolen.json") as error:
        parse_entry(text, "stolen.json")
    assert message in str(error.value)


def test_an_untouched_entry_is_read_back_equal(make_entry):
    entry = make_entry("triplet+multi-similarity", combiner="wedl")
    again = parse_entry(entry.to_text(), "file")
    assert again == entry and again.to_text() == entry.to_text()


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_nan_and_infinity_are_refused(make_entry, constant):
    text = make_entry().to_text().replace('"nmi": 0.6', f'"nmi": {constant}', 1)
    with pytest.raises(VerificationError, match=f"{constant} is not a JSON number"):
        parse_entry(text, "file")


def test_a_key_that_appears_twice_is_refused(make_entry):
    text = make_entry().to_text().replace('"nmi": 0.6', '"nmi": 0.6, "nmi": 0.9', 1)
    with refused(VerificationError, "'nmi'"):
        parse_entry(text, "file")


def test_a_newer_schema_asks_for_an_upgrade(make_entry):
    text = tampered(make_entry(), "schema_version", 3)
    with refused(VerificationError, "3"):
        parse_entry(text, "file")


@pytest.mark.parametrize("text", ["[]", "3", "null", "{}", "", "[" * 100_000])
def test_what_is_no_entry_is_refused(text):
    with pytest.raises(VerificationError, match="file"):
        parse_entry(text, "file")


def test_a_field_that_came_later_changes_no_hash_and_no_name(make_entry):
    """Attestations and file names of entries from before hold on."""
    data = json.loads(make_entry().to_text())
    older = {key: value for key, value in data.items() if key != "tuning"}
    entries = [parse_entry(json.dumps(values), "file") for values in (data, older)]
    assert entries[0] == entries[1]
    assert entries[0].content_sha256() == entries[1].content_sha256()
    more = parse_entry(json.dumps(data | {"submitter": "x"}), "file")
    assert more.content_sha256() != entries[0].content_sha256()


def test_an_entry_is_written_on_one_line(make_entry):
    entry = make_entry("triplet+ms", [0.5, 0.52], combiner="wedl", failed={7: "NaN at step 3"})
    assert (
        repr(entry)
        == str(entry)
        == (f"<Entry {entry.entry_id} wedl(triplet + ms) on glyphs, 3 trials (1 failed)>")
    )
    long = make_entry("+".join(f"some-long-loss-{number}" for number in range(20)), combiner="sum")
    assert len(repr(long)) <= 100 and "…" in repr(long)


@pytest.mark.parametrize("count, read", [(1000, True), (1001, False)])
def test_the_trials_of_an_entry_are_limited(make_entry, count, read):
    data = make_entry(map_at_r=[], failed={0: "NaN at step 1"}).model_dump()
    data["trials"] = [data["trials"][0] | {"seed": seed} for seed in range(count)]
    if read:
        assert len(parse_entry(json.dumps(data), "file").trials) == count
        return
    with pytest.raises(VerificationError, match="trials: .*1000"):
        parse_entry(json.dumps(data), "file")
