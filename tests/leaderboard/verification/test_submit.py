"""Entries from elsewhere: checked, never overwritten, fetched within bounds, shown as text."""

from __future__ import annotations

import csv
import http.server
import io
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from words import refused

from dmlbench.cli import main
from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.fetch import fetch_text
from dmlbench.leaderboard.entries.store import (
    find_entry,
    read_entries,
    submission_name,
    write_entry,
)
from dmlbench.leaderboard.verification import submit
from dmlbench.leaderboard.verification.submit import add

HOSTILE = "=HYPERLINK(1)\x1b[31m<script>alert(1)</script>[red]|`\u202e"


def changed(entry, **changes) -> Entry:
    return Entry.model_validate(entry.model_dump() | changes)


def save(entry, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(entry.to_text())
    return str(path)


@pytest.fixture
def out(tmp_path):
    return tmp_path / "leaderboards"


def test_an_entry_is_added_under_the_name_of_its_content(make_entry, tmp_path, out):
    entry = make_entry(submitter="them")
    (first,) = add(save(entry, tmp_path / "theirs.json"), out)
    assert first.outcome == "added" and first.path.name == submission_name(entry)
    assert read_entries(first.path.parent) == ([entry], [])
    (again,) = add(str(tmp_path / "theirs.json"), out)
    assert (again.outcome, again.path) == ("there already", first.path)
    assert find_entry(out, entry.entry_id[:6]) == entry


def test_what_was_run_here_stays_and_counts_as_there(make_entry, tmp_path, out):
    entry = make_entry()
    path = write_entry(out, entry)
    (found,) = add(save(entry, tmp_path / "x.json"), out)
    assert (found.outcome, found.path) == ("there already", path)


def test_submissions_of_one_configuration_are_kept_side_by_side(make_entry, tmp_path, out):
    ours = make_entry("ms", [0.50, 0.51, 0.52, 0.50, 0.52])
    theirs = changed(make_entry("ms", [0.80, 0.81, 0.82, 0.81, 0.80]), submitter="them")
    write_entry(out, ours)
    (found,) = add(save(theirs, tmp_path / "theirs.json"), out)
    assert found.outcome == "beside"
    entries, problems = read_entries(found.path.parent)
    assert problems == [] and sorted(map(Entry.to_text, entries)) == sorted(
        map(Entry.to_text, [ours, theirs])
    )
    below = make_entry("triplet", [0.1, 0.11, 0.12, 0.1, 0.11])
    between = make_entry("a", [0.6, 0.61, 0.62, 0.6, 0.62])
    frame = leaderboard_frame([*entries, below, between])
    rows = dict(zip(frame["losses"], frame["rank_low"], strict=True))
    # "a" is below one submission and above the other: not separated from the configuration.
    # "triplet" is below two configurations, one of which two people submitted.
    assert rows == {"ms <by them>": 1, "a": 1, "ms <by unnamed>": 2, "triplet": 3}
    with refused(UsageError, ours.entry_id):
        find_entry(out, ours.entry_id)
    assert find_entry(out, submission_name(theirs).removesuffix(".json")) == theirs


def test_no_file_takes_the_place_of_another(make_entry, tmp_path, out):
    """Whose file it is is what the file says: more seeds under the same name replace nothing."""
    long = changed(make_entry(map_at_r=[0.5, 0.51, 0.52, 0.53]), submitter="them")
    short = changed(long, trials=long.model_dump()["trials"][:3])
    (first,) = add(save(short, tmp_path / "short.json"), out)
    (second,) = add(save(long, tmp_path / "long.json"), out)
    assert second.outcome == "beside" and first.path.exists()
    other = changed(short, submitter="others")
    (third,) = add(save(other, tmp_path / "other.json"), out)
    assert third.outcome == "refused" and "copies" in third.problems[0]


def test_what_is_there_is_read_once_and_what_is_added_counts_as_there(
    make_entry, tmp_path, out, monkeypatch
):
    """A folder of n entries on a board of n took n * n readings."""
    for value, loss in ((0.41, "ms"), (0.42, "triplet"), (0.43, "nca")):
        save(make_entry(loss, [value]), tmp_path / "in" / f"{loss}.json")
    read, readings = submit.read_entry, []
    monkeypatch.setattr(submit, "read_entry", lambda path: readings.append(path) or read(path))
    assert {addition.outcome for addition in add(str(tmp_path / "in"), out)} == {"added"}
    assert readings == []
    assert {addition.outcome for addition in add(str(tmp_path / "in"), out)} == {"there already"}
    assert len(readings) == len(set(readings)) == 3
    # The second of two files of one call repeats the trials of the first.
    save(make_entry("contrastive", [0.31]), tmp_path / "two" / "a.json")
    trials = make_entry("contrastive", [0.31]).model_dump()["trials"]
    save(changed(make_entry("fastap", [0.31]), trials=trials), tmp_path / "two" / "b.json")
    first, second = add(str(tmp_path / "two"), out)
    assert first.outcome == "added" and "one is a copy" in second.problems[0]


def test_a_folder_is_added_file_by_file_and_a_bad_one_stops_nothing(make_entry, tmp_path, out):
    good = make_entry("ms")
    save(good, tmp_path / "in" / "good.json")
    folder = tmp_path / "in"
    bad = good.model_dump() | {"extra": 1}
    (folder / "unknown field.json").write_text(json.dumps(bad))
    (folder / "not utf8.json").write_bytes(b'{"a": "\xff"}')
    (folder / "deep.json").write_text("[" * 10**5)
    (folder / "pickle.json").write_bytes(b"\x80\x04\x95cos\nsystem\n")
    wrong = make_entry("triplet").model_dump()
    wrong["trials"][0]["best_epoch"] = 1
    save(Entry.model_validate(wrong), folder / "picked epoch.json")
    found = {addition.source.rpartition("/")[2]: addition for addition in add(str(folder), out)}
    assert [name for name, a in found.items() if a.outcome == "added"] == ["good.json"]
    assert {a.outcome for name, a in found.items() if name != "good.json"} == {"refused"}
    for name, addition in found.items():
        if name not in ("good.json", "picked epoch.json"):
            assert name in addition.problems[0]
    assert found["picked epoch.json"].problems[0].startswith("selection: seed 0")
    with refused(UsageError, "nothing"):
        add(str(tmp_path / "nothing"), out)


@pytest.mark.parametrize("name", ["../../etc", "a/b", ".hidden", "_claims", "a" * 150])
def test_a_name_never_leads_out_of_the_folder(make_entry, tmp_path, out, name):
    (found,) = add(save(make_entry(dataset=name), tmp_path / "x.json"), out)
    assert found.outcome == "refused" and "cannot name a folder" in found.problems[0]
    assert not out.exists()


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path; `body` is the entry."""

    body = b""

    def do_GET(self):
        if self.path == "/to-a-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path == "/to-the-entry":
            self.send_response(301)
            self.send_header("Location", "/entry")
            self.end_headers()
        elif self.path == "/missing":
            self.send_error(404)
        else:
            self.send_response(200)
            if self.path == "/headers":
                self._pour(b"X", 0.05)
            self.end_headers()
            if self.path == "/entry":
                self.wfile.write(self.body)
            elif self.path == "/endless":
                self._pour(b"x" * 65536, 0)
            elif self.path == "/drip":
                self._pour(b"x", 0.05)

    def _pour(self, data, pause):
        try:
            for _ in range(400):
                self.wfile.write(data)
                time.sleep(pause)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_entry_from_an_address(make_entry, out, address, monkeypatch):
    entry = make_entry(submitter="them")
    monkeypatch.setattr(Server, "body", entry.to_text().encode())
    (found,) = add(f"{address}/to-the-entry", out)
    assert found.outcome == "added" and read_entries(found.path.parent)[0] == [entry]


def test_a_server_cannot_hold_us_nor_flood_us_nor_lead_us_to_files(address):
    with refused(VerificationError, address):
        fetch_text(f"{address}/endless", most=10**6)
    started = time.monotonic()
    with refused(VerificationError, address):
        fetch_text(f"{address}/drip", seconds=0.4)
    assert time.monotonic() - started < 15
    with refused(UsageError, "/to-a-file"):
        fetch_text(f"{address}/to-a-file")
    with refused(UsageError, "404"):
        fetch_text(f"{address}/missing")
    started = time.monotonic()
    with refused(VerificationError, address):
        fetch_text(f"{address}/headers", seconds=0.4)
    assert time.monotonic() - started < 15
    for bad in ("file:///etc/passwd", "ftp://x/y", "http://", "http://[", "data://x"):
        with pytest.raises(UsageError):
            fetch_text(bad)
    with refused(UsageError, "http://127.0.0.1:1/x"):
        fetch_text("http://127.0.0.1:1/x", seconds=2)


def claim(**changes) -> dict:
    return {
        "schema_version": 1,
        "protocol": "zsl-v1",
        "dataset": "glyphs",
        "losses": ["contrastive"],
        "combiner": None,
        "backbone": "BN-Inception",
        "pretrained": True,
        "embedding_dim": 512,
        "num_seeds": 10,
        "conditions": "their own protocol",
        "metrics": {
            "recall_at": {"1": 0.6813, "1000": 0.99}, "map_at_r": 0.99, "r_precision": 0.995,
            "nmi": None,
        },
        "source": {
            "authors": "Somebody", "title": "A paper", "year": 2020, "reference": "arXiv",
            "where": "Table 1", "quoted_from": None,
        },
        "submitter": None,
    } | changes  # fmt: skip


def test_published_numbers_stand_apart_without_a_rank_whatever_they_are(
    make_entry, tmp_path, out, capsys
):
    write_entry(out, make_entry())
    (tmp_path / "claim.json").write_text(json.dumps(claim()))
    (found,) = add(str(tmp_path / "claim.json"), out)
    assert found.outcome == "added" and found.path.parent.name == "_published"
    assert add(str(tmp_path / "claim.json"), out)[0].outcome == "there already"
    with pytest.raises(SystemExit):
        main(["leaderboard", "show", "--leaderboards", str(out), "--json"])
    ours, theirs = json.loads(capsys.readouterr().out)["rows"]
    assert (ours["position"], ours["tier"], ours["source"]) == (None, "checked", None)
    assert (theirs["rank_low"], theirs["tier"]) == (None, "unverified")
    assert theirs["recall_at_1000"] == 0.99
    assert theirs["group"] != ours["group"] and "A paper, 2020, arXiv" in theirs["source"]
    with pytest.raises(SystemExit):
        main(["leaderboard", "show", "--leaderboards", str(out)])
    text = capsys.readouterr().out
    assert (
        "published results, not run under this protocol" in text
        and "as published: Somebody" in text
    )
    # One that was edited afterwards is refused by name.
    found.path.write_text(found.path.read_text().replace("0.6813", "0.7813"))
    with pytest.raises(SystemExit):
        main(["leaderboard", "show", "--leaderboards", str(out)])
    assert f"Refused: {found.path}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes",
    [
        {"source": None},
        {"trials": []},
        {"metrics": {"recall_at": {}, "map_at_r": None, "r_precision": None, "nmi": 0.5}},
        {"metrics": {"recall_at": {"1": 0.5, "2": 0.4}, "map_at_r": None, "r_precision": None,
                     "nmi": None}},
        {"metrics": {"recall_at": {"1": 68.13}, "map_at_r": None, "r_precision": None,
                     "nmi": None}},
    ],
)  # fmt: skip
def test_a_published_result_needs_a_source_and_sound_numbers(tmp_path, out, changes):
    (tmp_path / "claim.json").write_text(json.dumps(claim(**changes)))
    (found,) = add(str(tmp_path / "claim.json"), out)
    assert found.outcome == "refused" and "claim.json" in found.problems[0]


def test_hostile_text_stays_text_everywhere(make_entry, make_component, tmp_path, out, capsys):
    loss = make_component(HOSTILE, distribution="evil")
    for i, who in enumerate((HOSTILE, f"{HOSTILE}2")):
        entry = make_entry([loss], [0.4 + i / 10, 0.5 + i / 10], dataset="x", submitter=who)
        (found,) = add(save(entry, tmp_path / f"{i}.json"), out)
        assert found.path is not None
    hostile = dict.fromkeys(("combiner", "conditions", "backbone"), HOSTILE)
    data = claim(losses=[HOSTILE, "a"], dataset="x", **hostile)
    (tmp_path / "claim.json").write_text(json.dumps(data))
    texts = {}
    for name, arguments in {
        "add": ["add", str(tmp_path / "claim.json")],
        "show": ["show"],
        "markdown": ["show", "--markdown"],
        "csv": ["show", "--csv"],
        "summary": ["show", "--over-datasets", "--csv"],
        "verify": ["verify"],
    }.items():
        with pytest.raises(SystemExit) as stop:
            main(["leaderboard", *arguments, "--leaderboards", str(out)])
        assert stop.value.code == 0
        captured = capsys.readouterr()
        texts[name] = captured.out + captured.err
    for name, text in texts.items():
        assert not set(text) & {"\x1b", "\u202e"}, name
    assert "<script>" not in texts["markdown"] and "[red]" in texts["show"]
    for name in ("csv", "summary"):
        cells = [cell for row in csv.reader(io.StringIO(texts[name])) for cell in row]
        assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


def test_a_verdict_takes_the_strongest_submission_of_the_single_loss(make_entry):
    ours = make_entry("ms", [0.50, 0.51, 0.52])
    theirs = changed(make_entry("ms", [0.60, 0.61, 0.62]), submitter="them")
    both = make_entry("ms+triplet", [0.55, 0.56, 0.58], combiner="wedl")
    triplet = make_entry("triplet", [0.3, 0.31, 0.32])
    (found,) = verdicts([ours, theirs, both, triplet])
    assert found.outcome == "worse" and found.best_single == "ms <by them>"


@pytest.fixture
def workflow(make_entry, tmp_path, monkeypatch):
    """The steps of docs/ci/leaderboards.yml, run by the shell in a repository with a proposal."""
    import yaml

    text = (Path(__file__).parents[3] / "docs" / "ci" / "leaderboards.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"].values()
    steps = {step["name"]: step["run"] for job in jobs for step in job["steps"] if "name" in step}
    command = tmp_path / "bin" / "dmlbench"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dmlbench "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    root = tmp_path / "repository"
    write_entry(root / "leaderboards", make_entry(dataset="x"))

    def run(start):
        (script,) = [run for name, run in steps.items() if name.startswith(start)]
        done = subprocess.run(
            ["bash", "-euc", script], cwd=root, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def commit():
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        for git in (["add", "-A"], ["commit", "-qm", "all"]):
            subprocess.run(["git", *identity, *git], cwd=root, check=True)

    subprocess.run(["git", "init", "-qb", "proposal"], cwd=root, check=True)
    commit()
    subprocess.run(["git", "update-ref", "refs/remotes/origin/main", "HEAD"], cwd=root, check=True)
    return root, run, commit


@pytest.mark.slow
def test_the_workflow_verifies_shows_and_regenerates_tables(workflow, tmp_path):
    root, run, _ = workflow
    for step in ("What does not hold", "How the tables", "Regenerate", "Build the site"):
        code, text = run(step)
        assert code == 0, text
    assert (root / "site" / "index.html").is_file()
    board = root / "leaderboards" / "zsl-v1" / "x"
    assert (board / "README.md").read_text() == (tmp_path / "summary.md").read_text()
    assert (board / "leaderboard.csv").read_text().startswith("entry_id,")
    assert "over 1 dataset" in (root / "leaderboards" / "README.md").read_text()
    assert read_entries(board)[1] == []


@pytest.mark.slow
def test_the_workflow_audits_new_entries_and_protects_other_peoples_files(workflow, make_entry):
    root, run, commit = workflow
    assert run("A trial of every new entry")[0] == 0  # there is none
    path = write_entry(root / "leaderboards", make_entry("ms", dataset="x"))
    commit()
    assert run("Files of other people")[0] == 0
    code, text = run("A trial of every new entry")
    assert code != 0 and f"not audited  {path.name}: " in text
    (old,) = [file for file in path.parent.glob("*.json") if file != path]
    old.write_text(old.read_text() + "\n")
    commit()
    code, text = run("Files of other people")
    assert code == 1 and old.name in text and path.name not in text
    old.write_text(old.read_text()[:-1])
    forged = path.parent / "_attestations" / "forged.json"
    forged.parent.mkdir()
    forged.write_text("{}")
    commit()
    code, text = run("Files of other people")
    assert code == 1 and "forged.json" in text and old.name not in text
