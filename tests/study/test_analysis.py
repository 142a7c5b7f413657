"""The analysis on boards whose truth is known: it finds what is there, and only that."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from dmlbench.study.analysis import analyse
from dmlbench.study.design import read_study
from dmlbench.study.precision import precision
from dmlbench.study.sentences import answer_sentence, decomposition_lines

ROOT = Path(__file__).parents[2]
DESIGN = ROOT / "docs" / "studies" / "combining.toml"
spec = importlib.util.spec_from_file_location(
    "study_simulation", ROOT / "benchmarks" / "study_simulation.py"
)
simulation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(simulation)

COPIES = ("wedl-of-ms", "wedl-of-proxy-anchor", "wedl-of-smooth-ap")
WEIGHTS = {"wedl": 6.0, "wedl-192": 6.0}
COMBINATION = WEIGHTS | {"wedl-equal": 6.0}
NET = COMBINATION | dict.fromkeys(COPIES, 6.0)


@pytest.fixture(scope="module")
def study():
    return read_study(DESIGN)


def findings(study, effects, seed=0, noise=(0.5, 1.0)):
    return simulation.simulated(study, effects, *noise, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "effects, better",
    [
        ({}, set()),
        (NET, {"lead"}),
        (COMBINATION, {"lead", "combination"}),
        (WEIGHTS, {"lead", "combination", "weights"}),
    ],
    ids=["nothing", "net", "combination", "weights"],
)
def test_the_primary_questions_have_the_right_answers(study, effects, better):
    found = findings(study, effects)
    primary = [one for one in found.answers if one.primary]
    assert {one.name for one in primary if one.answer == "better"} == better
    assert not any(one.answer == "worse" for one in primary)
    for one in primary:
        sentence = answer_sentence(study, one)
        assert ("is better than" in sentence and "inconclusive" not in sentence) == (
            one.name in better
        ), sentence
        if one.name in better:
            assert one.relevant and "at least the 2.0 points that matter" in sentence


@pytest.mark.parametrize(
    "effects, step",
    [(NET, "the net"), (COMBINATION, "different losses"), (WEIGHTS, "learned weights")],
    ids=["net", "combination", "weights"],
)
def test_the_decomposition_puts_a_lead_where_it_comes_from(study, effects, step):
    for one in findings(study, effects).decompositions:
        lines = dict(decomposition_lines(study, one))
        for what, points in lines.items():
            expected = what.startswith((step, "all of"))
            assert (float(points.split()[0]) > 4) == expected, lines


def test_no_effect_is_seldom_found(study):
    """Boards with a false answer among the primary contrasts, which share a row."""
    rng = np.random.default_rng(0)
    boards = [simulation.simulated(study, {}, 1.0, 2.0, rng).answers for _ in range(100)]
    wrong = [
        any(one.primary and one.answer in ("better", "worse") for one in answers)
        for answers in boards
    ]
    assert sum(wrong) <= 100 * 0.05 + 7


def test_a_harm_is_called_so(study):
    found = findings(study, {"wedl": -6.0})
    (lead,) = [one for one in found.answers if one.name == "lead"]
    assert lead.answer == "worse" and "is worse than" in answer_sentence(study, lead)


def values_of(study, effects=None, noise=0.01):
    rng = np.random.default_rng(0)
    return {
        dataset: {
            row: {
                key: 0.4 + (effects or {}).get(row, 0.0) + rng.normal(0, noise)
                for key in study.keys(dataset)
            }
            for row in study.rows_of(dataset)
        }
        for dataset in study.datasets
    }


def test_a_row_that_lacks_trials_is_no_answer_and_costs_the_others_nothing(study):
    values = values_of(study, {"wedl": 0.06})
    whole = {one.name: one for one in analyse(study, values).answers}
    values["glyphs"]["wedl-equal"].popitem()
    found = {one.name: one for one in analyse(study, values).answers}
    assert found["weights"].answer == "incomplete" and found["weights"].p is None
    planned = len(study.keys("glyphs"))
    assert f"wedl-equal lacks 1 of {planned}" in answer_sentence(study, found["weights"])
    assert found["lead"].answer == "better"
    # The correction stays that of the whole design.
    assert found["lead"].comparisons == whole["lead"].comparisons == 3


def test_trials_beyond_the_design_change_nothing(study):
    values = values_of(study, {"wedl": 0.06})
    before = analyse(study, values)
    for rows in values.values():
        for trials in rows.values():
            trials[0, 99] = 1.0
    assert analyse(study, values) == before


def test_a_failed_trial_counts_against_the_row_that_leads_and_not_for_it(study):
    values = values_of(study, {"wedl": 0.06})
    rows = values["glyphs"]
    before = {one.name: one for one in analyse(study, values).answers}["lead"].contrast
    rows["ms"][1, 0] = None
    single = {one.name: one for one in analyse(study, values).answers}["lead"]
    assert single.contrast.trials == before.trials - 1 and single.answer == "better"
    assert single.contrast.mean == pytest.approx(before.mean, abs=0.005)
    assert "of ms failed and counts not at all" in answer_sentence(study, single)


def test_an_answer_must_hold_however_a_failed_trial_is_counted(study):
    values = values_of(study, {"wedl": 0.06})
    assert {one.name: one.answer for one in analyse(study, values).answers}["weights"] == "better"
    for unit in (2, 3, 4):
        values["glyphs"]["wedl"][unit, 0] = values["glyphs"]["wedl"][unit, 1] = None
    found = {one.name: one for one in analyse(study, values).answers}["weights"]
    assert found.answer == "inconclusive"
    assert "6 trials of wedl failed and count as 0" in answer_sentence(study, found)


@pytest.mark.parametrize("lead, relevant", [(0.06, True), (0.009, False), (0.02, None)])
def test_a_lead_is_relevant_shown_not_to_be_or_neither(study, lead, relevant):
    values = values_of(study, {"wedl": lead}, noise=0.005)
    found = {one.name: one for one in analyse(study, values).answers}["weights"]
    assert found.answer == "better" and found.relevant is relevant
    words = {True: "at least the", False: "less than the", None: "not shown"}
    assert words[relevant] in answer_sentence(study, found)


def test_precision_is_that_of_the_differences(study):
    found = {one.name: one for one in precision(study, values_of(study))}
    assert found["weights"].components.within == pytest.approx(np.sqrt(2), rel=0.3)
    smallest, relevant = found["weights"].smallest, found["weights"].relevant
    assert 0 < smallest.low < smallest.value < smallest.high < 2 * study.smallest
    assert relevant.low < relevant.value < relevant.high and relevant.value > 0.8
    few = {name: d.model_copy(update={"replicates": 2}) for name, d in study.datasets.items()}
    fewer = study.model_copy(update={"datasets": few})
    assert {one.smallest for one in precision(fewer, values_of(fewer))} == {None}


def test_all_rows_together_tell_more_of_how_differences_spread(study):
    found = {one.name: one for one in precision(study, values_of(study))}
    together = found["any two rows"]
    units, seeds = study.units("glyphs"), len(study.keys("glyphs")) / study.units("glyphs")
    assert together.spread.freedom == pytest.approx(7 * (units - 1))
    assert found["lead"].spread.freedom == pytest.approx(units - 1)
    # A point in each trial.
    assert together.spread.low < np.sqrt(2 / seeds) < together.spread.high
    assert together.spread.high / together.spread.low < 1.4


def test_a_pilot_gives_the_spread_and_the_design_what_it_is_worth(study):
    pilot = read_study(DESIGN.parent / "pilot.toml")
    rng = np.random.default_rng(2)
    values = {
        "glyphs": {
            row: {key: 0.4 + rng.normal(0, 0.02) for key in pilot.keys("glyphs")}
            for row in pilot.rows
        }
    }
    found = {one.name: one for one in precision(study, values, pilot)}
    assert set(found) == {"lead", "combination", "weights", "any two rows"}
    assert found["lead"].trials == len(pilot.keys("glyphs"))
    double = {n: d.model_copy(update={"replicates": 40}) for n, d in study.datasets.items()}
    larger = study.model_copy(update={"datasets": double})
    more = {one.name: one for one in precision(larger, values, pilot)}
    assert more["lead"].spread == found["lead"].spread
    assert more["lead"].smallest.value < found["lead"].smallest.value
