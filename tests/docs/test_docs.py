"""The docs say what the code does: every command and hook has its page, and help is current."""

from __future__ import annotations

import json
import re
from pathlib import Path

import component_pages
import generate
import pytest
import speed_tables

from dmlbench.cli import COMMANDS
from dmlbench.combiners import COMBINERS
from dmlbench.hookspecs import Hooks, TrialEvent
from dmlbench.leaderboard.entries.trial import EpochRecord, Metrics
from dmlbench.losses import LOSSES
from dmlbench.plugins.loading import load_plugins

DOCS = Path(__file__).parents[2] / "docs"
PAGES = generate.wanted_pages()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_page_with_its_help(command):
    page = (DOCS / "commands" / f"{command}.md").read_text("utf-8")
    assert f"<!-- help: dmlbench {command} -->" in page
    assert generate.help_text(f"dmlbench {command}").splitlines()[0] in page


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_what_is_made_from_the_code_is_current(page):
    assert page.exists() and page.read_text("utf-8") == PAGES[page], "run python docs/generate.py"


@pytest.mark.parametrize("spec", [*LOSSES, *COMBINERS], ids=lambda spec: spec.name)
def test_a_component_s_page_says_what_every_parameter_means(spec):
    module, _, class_name = spec.target.partition(":")
    prose, parameters, papers = component_pages.described(module, class_name)
    assert prose and all(parameters[name] for name in spec.defaults)
    assert papers or spec in COMBINERS


def test_a_parameter_described_as_for_another_class_has_its_text():
    _, parameters, _ = component_pages.described("dmlbench.combiners.wedl_c", "CompressedEnsemble")
    assert parameters["penalty"] == "η."
    assert parameters["diversity"].startswith("λ, 0.01")


MEASURED = {
    "machine": "a machine",
    "date": "2026-01-02",
    "versions": {"torch": "2.4"},
    "rows": [
        {"loss": "triplet(mining=hard)", "batch": 512, "dim": 128, "per_class": 4, "ours_ms": 4.0,
         "pml_ms": 200.0, "floor_ms": 2.0, "ours_peak_mb": 6.0, "pml_peak_mb": None},
        {"loss": "ms+triplet", "batch": 512, "dim": 128, "per_class": 4, "ours_ms": 4.0,
         "pml_ms": None, "floor_ms": 2.0},
        {"loss": "contrastive", "batch": 64, "dim": 32, "per_class": 4, "ours_ms": 1.0,
         "pml_ms": None, "floor_ms": 0.5, "note": "it has none"},
    ],
}  # fmt: skip


def test_measured_speed_stands_on_the_page_of_its_loss_as_ratios():
    page = speed_tables.speed_section("triplet", MEASURED)
    line = "| `triplet(mining=hard)` | 512 × 128 × 4 | 4 ms | 200 ms | 50 × | 2 × | 6 MB | – |"
    assert line in page.splitlines() and "ms+triplet" not in page
    assert "2026-01-02: a machine;" in " ".join(page.split()) and "torch 2.4." in page
    assert "`contrastive`, 64 × 32 × 4: it has none." in speed_tables.speed_section(
        "contrastive", MEASURED
    )
    assert "Not measured" in speed_tables.speed_section("circle", MEASURED)


def test_the_table_of_ratios_has_a_line_a_loss_in_the_order_of_the_losses():
    lines = speed_tables.ratio_section(MEASURED).splitlines()
    assert lines[-5:] == [
        "| loss | 64 × 32 × 4 | 512 × 128 × 4 |",
        "| --- | --- | --- |",
        "| `contrastive` | –, 2 × | – |",
        "| `triplet(mining=hard)` | – | 50 ×, 2 × |",
        "| `ms+triplet` | – | –, 2 × |",
    ]


def test_every_option_of_every_command_is_in_its_help():
    text = generate.help_text("dmlbench run")
    for option in (
        "--losses",
        "--combiner",
        "--seeds",
        "--threads",
        "--jobs",
        "--set",
        "--leaderboards",
    ):
        assert option in text


@pytest.mark.parametrize("hook", [n for n in dir(Hooks) if n.startswith("dmlbench_")])
def test_every_hook_is_documented(hook):
    assert hook in (DOCS / "plugins.md").read_text("utf-8")


def test_the_tracker_of_the_docs_writes_down_what_it_is_told(install, tmp_path, monkeypatch):
    page = (DOCS / "plugins.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(# my_tracker/plugin.py.*?)```", page, re.DOTALL)
    install("my-tracker", code)
    monkeypatch.setenv("MY_TRACKER_FILE", str(tmp_path / "trials.jsonl"))
    (listener,) = load_plugins().listeners
    for kind, values in (
        ("trial_started", {"epoch": 0, "epochs": 2}),
        ("trial_failed", {"reason": "the loss is NaN"}),
    ):
        listener.notify(
            TrialEvent(kind=kind, entry_id="3f9a", configuration="ms", seed=1, values=values)
        )
    lines = [json.loads(line) for line in (tmp_path / "trials.jsonl").read_text().splitlines()]
    assert lines == [
        {"kind": "trial_started", "entry": "3f9a", "seed": 1, "epoch": 0, "epochs": 2},
        {"kind": "trial_failed", "entry": "3f9a", "seed": 1, "reason": "the loss is NaN"},
    ]


def test_the_table_of_events_has_every_kind_and_value():
    page = (DOCS / "plugins.md").read_text("utf-8")
    section = page.partition("## Following trials")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*? \| (.*) \|$", section, re.MULTILINE))
    values = {kind: set(re.findall(r"`(\w+)`", cell)) for kind, cell in rows.items()}
    # The kinds stand in the contract, in quotes; the records are what entries keep of the values.
    described = (TrialEvent.__doc__ or "").partition("kind:")[2].partition("values:")[0]
    assert set(rows) == set(re.findall(r'"(\w+)"', described))
    assert values["epoch_finished"] == set(EpochRecord.model_fields)
    assert values["trial_finished"] == {"metrics", "seconds", *Metrics.model_fields}
