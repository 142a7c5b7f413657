"""The report says what the analysis found, in Markdown and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import hand_made
import numpy as np
import pytest

from dmlbench.study.analysis import analyse
from dmlbench.study.boards import Found
from dmlbench.study.design import read_study
from dmlbench.study.report import render_markdown, report_json

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study():
    return read_study(ROOT / "docs" / "studies" / "combining.toml")


@pytest.fixture(scope="module")
def found(study):
    rng = np.random.default_rng(0)
    effects = {"wedl": 0.06, "wedl-equal": 0.06}
    values = {
        dataset: {
            row: {
                key: 0.4 + effects.get(row, 0.0) + rng.normal(0, 0.01)
                for key in study.keys(dataset)
            }
            for row in study.rows_of(dataset)
        }
        for dataset in study.datasets
    }
    entries = {d: {row: [hand_made.make(dataset=d)] for row in rows} for d, rows in values.items()}
    return Found(values, entries, ["a note"])


def test_the_report_answers_first_and_has_every_number(study, found):
    text = render_markdown(study, found, analyse(study, found.values))
    assert text.index("## Primary questions") < text.index("## What it is made of")
    assert "wedl is better than the best of ms, proxy-anchor and smooth-ap by" in text
    assert "wedl does not lead wedl-equal by 2.0 points or more" in text
    for question in (c.question for c in study.contrasts.values()):
        assert question in text
    for heading in ("## The rows", "## Whether losses keep their order", "a note"):
        assert heading in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in tables)


def test_the_same_results_give_the_same_report(study, found):
    texts = {render_markdown(study, found, analyse(study, found.values)) for _ in range(2)}
    assert len(texts) == 1


def test_json_has_the_numbers_of_the_sentences(study, found):
    data = json.loads(json.dumps(report_json(study, found, analyse(study, found.values))))
    lead = next(one for one in data["answers"] if one["name"] == "lead")
    assert lead["answer"] == "better" and lead["sentence"].startswith("glyphs: wedl is better")
    assert lead["contrast"]["low"] > study.smallest / 100
    assert data["decompositions"][0]["whole"][0] == pytest.approx(lead["contrast"]["mean"])
    assert data["orders"]


def test_an_empty_board_answers_nothing(study):
    nothing = Found({}, {}, [])
    findings = analyse(study, {})
    assert {one.answer for one in findings.answers} == {"incomplete"}
    text = render_markdown(study, nothing, findings)
    planned = len(study.keys("glyphs"))
    assert f"wedl and wedl-equal lack {planned} of {planned} trials" in text
