"""The files of a site: complete, escaped, the same each time, and nothing else touched."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from words import refused

from dmlbench.cli import cli
from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.entries.labels import Labels
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.entries.sanitize import plain
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.site.board_rows import ROW, board_rows
from dmlbench.leaderboard.site.build import write_site
from dmlbench.leaderboard.verification.tiers import Verification
from dmlbench.plan.protocol import NOT_GUARDED


class Reader(html.parser.HTMLParser):
    """What a browser makes of a page: elements, attributes, text, and the data in scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements, self.texts, self.data, self.scripts = [], [], [], []
        self._inside: str | None = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        self._inside = None
        if tag == "script":
            self.scripts.append(attributes)
            self._inside = attributes.get("type", "code")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, text):
        (self.data if self._inside else self.texts).append(text)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_page_an_entry_and_the_board_of_all(site, entries):
    assert {path.stem for path in (site / "entries").iterdir()} == {e.entry_id for e in entries}
    board = json.loads(Reader(site / "index.html").data[0])
    at = board["row"].index
    rows = {row[at("id")]: row for row in board["rows"]}
    assert set(rows) == {e.entry_id for e in entries}
    best = rows[entries[2].entry_id]
    assert best[at("losses")] == "triplet + ms" and best[at("combinerName")] == "wedl"
    assert best[at("rank")][1] == 1 and best[at("spent")] == [None, None, 12]
    assert board["by"] == board["metrics"][0]["id"] == "map_at_r"
    assert best[at("intervals")][0] == pytest.approx((0.56 + 0.59 + 0.621 + 0.58 + 0.599) / 5)
    # Rows that do not compare stand in different groups, with ranks of their own.
    assert [g["dataset"] for g in board["groups"]].count("glyphs") == 2
    assert sorted(row[at("rank")][1] or 0 for row in board["rows"]) == [0, 0, 0, 1, 2, 3, 4]


@pytest.mark.parametrize("which", [3, 4, 6])
def test_hostile_text_is_text_on_every_page(site, entries, hostile, which):
    for path in (site / "index.html", site / "entries" / f"{entries[which].entry_id}.html"):
        page = Reader(path)
        tags = {tag for tag, _ in page.elements}
        assert not any(attributes.get("src") == "x" for _, attributes in page.elements)
        assert not any(key.startswith("on") for _, a in page.elements for key in a)
        assert "img" not in tags and "style" not in tags
        for script in page.scripts:
            assert script.get("type") == "application/json" or script["src"].endswith(".js")
        assert any("json" in s.get("type", "") for s in page.scripts)
        shown = plain(hostile)
        assert shown in " ".join("".join(page.texts).split()) or shown in "".join(
            json.dumps(json.loads(text), ensure_ascii=False).replace('\\"', '"')
            for text in page.data
        )


def test_the_policy_lets_a_page_load_only_what_lies_beside_it(site):
    (policy,) = [
        attributes["content"]
        for tag, attributes in Reader(site / "index.html").elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'self' file:"


def test_the_same_entries_give_the_same_bytes(site, entries, tmp_path):
    write_site(reversed(entries), tmp_path / "again")
    assert files(tmp_path / "again") == files(site)


def test_a_newer_site_takes_the_place_of_an_older_one_and_of_nothing_else(entries, tmp_path):
    folder = tmp_path / "out"
    write_site(entries, folder)
    (folder / "CNAME").write_text("example.org")
    write_site(entries[:2], folder)
    assert {path.stem for path in (folder / "entries").iterdir()} == {
        e.entry_id for e in entries[:2]
    }
    assert (folder / "CNAME").read_text() == "example.org"
    fresh = tmp_path / "fresh"
    write_site(entries[:2], fresh)
    assert files(folder) == files(fresh) | {"CNAME": b"example.org"}


def test_a_folder_of_other_files_is_refused(entries, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(UsageError, match="thesis.tex"):
        write_site(entries, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_manifest_that_leads_out_deletes_nothing(entries, tmp_path):
    folder = tmp_path / "out"
    write_site(entries[:1], folder)
    (tmp_path / "kept").write_text("x")
    with open(folder / ".dmlbench-site", "a") as manifest:
        manifest.write("../kept\n")
    write_site(entries[:1], folder)
    assert (tmp_path / "kept").exists()


def page_text(folder, entry):
    return "".join(Reader(folder / "entries" / f"{entry.entry_id}.html").texts)


def test_an_entry_without_anything_to_show_still_has_a_page(make_entry, tmp_path):
    entry = make_entry(map_at_r=[], failed={0: "NaN at step 3"})
    write_site([entry], tmp_path / "out")
    text = page_text(tmp_path / "out", entry)
    for words in ("not ranked", "nothing was measured", "no training history", "NaN at step 3"):
        assert words in text


FIVE = [0.5, 0.51, 0.52, 0.5, 0.51]


def test_a_page_says_how_failed_trials_count(make_entry, tmp_path):
    half = make_entry("triplet", FIVE[:1], failed=dict.fromkeys(range(1, 5), "NaN"))
    none = make_entry("ms", [], failed=dict.fromkeys(range(5), "NaN"))
    write_site([half, none], tmp_path / "out")
    text = page_text(tmp_path / "out", half)
    assert "In the mean a failed trial counts as 0." in text and "Mean" in text
    text = page_text(tmp_path / "out", none)
    assert "no trial completed: counts as 0" in text and "95 % interval 0.0" not in text


def test_a_rank_is_one_of_the_configurations_that_are_ranked(make_entry, tmp_path):
    ranked = [make_entry(name, FIVE) for name in ("triplet", "ms")]
    again = make_entry("ms", FIVE[::-1], submitter="b")
    few = make_entry("contrastive", FIVE[:3])
    write_site([*ranked, again, few], tmp_path / "out")
    assert "rank 1–2 of 2 by MAP@R" in page_text(tmp_path / "out", ranked[0])
    assert "not ranked" in page_text(tmp_path / "out", few)


def with_cost(entry, **seconds):
    data = entry.model_dump()
    for trial in data["trials"]:
        trial["cost"] |= seconds
    return type(entry).model_validate(data)


def test_costs_sort_by_what_they_show(make_entry, tmp_path):
    """A wall clock of a busy machine says nothing beside seconds of a processor or accelerator."""
    rows = {
        "b": {"process_seconds": 90.0, "train_seconds": 20.0},
        "c": {"process_seconds": 30.0, "train_seconds": 999.0},
        "a": {"device_seconds": 100.0, "process_seconds": 5.0},
        "d": {"train_seconds": 1.0},
    }
    write_site([with_cost(make_entry(n, FIVE), **cost) for n, cost in rows.items()], tmp_path / "o")
    board = json.loads(Reader(tmp_path / "o" / "index.html").data[0])
    found = [dict(zip(board["row"], row, strict=True)) for row in board["rows"]]
    found.sort(key=lambda row: row["cost"][1])
    assert [row["cost"][0] for row in found] == [
        "1.7 min GPU", "30.0 s CPU", "1.5 min CPU", "1.0 s wall"
    ]  # fmt: skip
    # Seconds of the accelerator, of processors and of the wall clock, for the chart.
    assert found[0]["spent"] == [100, 5, 12] and found[3]["spent"] == [None, None, 1]


def test_ranked_by_another_metric(entries, tmp_path):
    write_site(entries[:3], tmp_path / "out", "R@1")
    board = json.loads(Reader(tmp_path / "out" / "index.html").data[0])
    assert board["by"] == board["metrics"][0]["id"] == "recall_at_1"
    with refused(UsageError):
        write_site(entries, tmp_path / "other", "loss")
    assert not (tmp_path / "other").exists()


@pytest.fixture
def leaderboards(entries, tmp_path):
    for entry in entries[:3]:
        write_entry(tmp_path / "lb", entry)
    (tmp_path / "lb" / "zsl-v1" / "glyphs" / "bad.json").write_text("{")
    return tmp_path / "lb"


def test_published_results_are_apart_without_rank_page_or_link(entries, tmp_path, hostile):
    source = {
        "authors": hostile, "title": "T", "year": 2019, "reference": "arXiv", "where": "Table 1",
        "quoted_from": None,
    }  # fmt: skip
    metrics = {"recall_at": {"1": 0.6}, "map_at_r": None, "r_precision": None, "nmi": 0.7}
    claim = PublishedResult.model_validate({
        "schema_version": 1, "protocol": "zsl-v1", "dataset": "glyphs", "losses": ["triplet"],
        "combiner": None, "backbone": "resnet-mini", "pretrained": False, "embedding_dim": 64,
        "num_seeds": None, "conditions": "epoch picked on test data", "metrics": metrics,
        "source": source, "submitter": None,
    })  # fmt: skip
    written = write_site(entries[:3], tmp_path / "out", published=[claim])
    assert written.num_entries == 3 and written.num_groups == 2
    board = json.loads(Reader(tmp_path / "out" / "index.html").data[0])
    row = dict(zip(board["row"], board["rows"][-1], strict=True))
    assert row["tier"] == "unverified" and row["rank"] == ["–", None] and row["hasPage"] is False
    assert row["group"] == 1 and row["lossNames"] == ["triplet"]
    assert "epoch picked on test data" in board["groups"][1]["notes"][0]
    assert {path.stem for path in (tmp_path / "out" / "entries").iterdir()} == {
        entry.entry_id for entry in entries[:3]
    }


def test_groups_of_an_older_protocol_come_after_and_say_so(make_entry, monkeypatch, tmp_path):
    monkeypatch.setitem(NOT_GUARDED, "zsl-v1", "its trials were open")
    new = make_entry(dataset="z-last", protocol="zsl-v2")
    write_site([make_entry(dataset="a-first"), new], tmp_path / "out")
    groups = json.loads(Reader(tmp_path / "out" / "index.html").data[0])["groups"]
    assert [group["dataset"] for group in groups] == ["z-last", "a-first"]
    assert groups[0]["cautions"] == [] and "were open" in groups[1]["cautions"][0]
    assert not any("were open" in note for note in groups[1]["notes"])


def test_several_submissions_of_one_configuration_have_a_page_each(make_entry, tmp_path):
    ours, theirs = make_entry(submitter="us"), make_entry(map_at_r=[0.1, 0.11, 0.12], submitter="b")
    write_site([ours, theirs], tmp_path / "out")
    board = json.loads(Reader(tmp_path / "out" / "index.html").data[0])
    at = board["row"].index
    means = {row[at("id")]: row[at("intervals")][0] for row in board["rows"]}
    assert means == {
        ours.submission_key: pytest.approx(0.51),
        theirs.submission_key: pytest.approx(0.11),
    }
    for entry, mean in ((ours, "51.0"), (theirs, "11.0")):
        page = Reader(tmp_path / "out" / "entries" / f"{entry.submission_key}.html")
        assert any(mean in text for text in page.texts)


def command(site, folder, *arguments):
    arguments = [site, "--leaderboards", folder, *arguments]
    return CliRunner().invoke(cli, ["leaderboard", "site", *map(str, arguments)])


def test_the_command_says_what_it_wrote_and_what_it_refused(leaderboards, tmp_path):
    result = command(tmp_path / "out", leaderboards)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{tmp_path / 'out' / 'index.html'}: 3 entries, 0 with a gallery; groups that compare: 1.\n"
    )
    assert "Refused: " in result.stderr and "bad.json" in result.stderr
    page = next((tmp_path / "out" / "entries").iterdir()).read_text("utf-8")
    assert "names no stored test embeddings" in page


def test_the_command_in_json(leaderboards, tmp_path):
    result = command(tmp_path / "out", leaderboards / "zsl-v1" / "glyphs", "--no-gallery", "--json")
    counts = json.loads(result.stdout)
    assert counts["entries"] == 3 and counts["groups"] == 1 and len(counts["refused"]) == 1


def test_no_leaderboard_no_site(tmp_path):
    result = command(tmp_path / "out", tmp_path / "nowhere")
    assert isinstance(result.exception, UsageError) and not (tmp_path / "out").exists()


def test_a_confirmed_row_says_what_was_fresh(make_entry):
    entries = [make_entry(), make_entry("ms", [0.1, 0.11, 0.12])]
    verifications = {
        entries[0].entry_id: Verification("confirmed", confirmed_on="splits"),
        entries[1].entry_id: Verification("reproduced"),
    }
    frame = leaderboard_frame(entries, verification=lambda entry: verifications[entry.entry_id])
    sources = {entry.entry_id: entry for entry in entries}
    rows = board_rows(0, frame, sources, ["map_at_r"], Labels(entries))
    assert [row[ROW.index("tier")] for row in rows] == ["confirmed (splits)", "reproduced"]
