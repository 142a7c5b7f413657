"""The sentences over a table say what its verdicts and ranks say."""

from __future__ import annotations

import pytest

from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.entries.published import PublishedResult
from dmlbench.leaderboard.site.finding import finding

LOW, HIGH = [0.50, 0.52, 0.51, 0.50, 0.52], [0.55, 0.56, 0.57, 0.56, 0.56]
HIGHER = [0.63, 0.64, 0.65, 0.64, 0.64]


@pytest.fixture
def said(make_entry):
    def of(combinations, singles=(("triplet", LOW), ("ms", HIGH))):
        entries = [make_entry(name, values) for name, values in singles]
        entries += [make_entry("triplet+ms", v, combiner=c) for c, v in combinations.items()]
        return finding(leaderboard_frame(entries), verdicts(entries), "map_at_r")

    return of


def test_one_combination_is_named(said):
    assert said({"wedl": HIGHER}) == [
        "wedl(triplet + ms) beats its best single loss.",
        "Highest MAP@R: wedl(triplet + ms), 64.0 ± 0.9; it is first of 3 ranked rows.",
    ]
    assert said({"wedl": LOW[::-1]})[0] == "wedl(triplet + ms) does not beat its best single loss."
    assert said({"wedl": HIGHER[:2]})[0] == (
        "Whether wedl(triplet + ms) beats its best single loss is undecided."
    )


def test_several_are_counted_by_outcome(said):
    close = [0.551, 0.562, 0.565, 0.563, 0.558]
    assert said({"wedl": HIGHER, "sum": LOW[::-1], "wel": close, "dwa": HIGHER[:2]})[0] == (
        "1 of 4 combinations of losses beats its best single loss; 1 is worse, 1 is not "
        "significantly different and 1 is undecided."
    )
    more = [value + 0.05 for value in HIGHER]
    assert said({"wedl": HIGHER, "sum": more})[0] == (
        "2 of 2 combinations of losses beat their best single loss."
    )
    assert said({"wel": close, "sum": close[::-1]})[0].startswith("None of 2 combinations")


def test_rows_that_may_be_first_are_counted(said):
    close = [0.551, 0.562, 0.565, 0.563, 0.558]
    singles = [("ms", HIGH), ("triplet", close), ("contrastive", LOW)]
    assert said({}, singles) == ["Highest MAP@R: ms, 56.0 ± 0.9; 2 of 3 ranked rows may be first."]
    assert said({}, [("ms", HIGH)]) == ["Highest MAP@R: ms, 56.0 ± 0.9."]
    assert said({}, [("ms", HIGH[:3])]) == ["No row is ranked."]


def test_published_results_are_not_summed_up():
    metrics = {"recall_at": {"1": 0.6}, "map_at_r": None, "r_precision": None, "nmi": None}
    source = {
        "authors": "A", "title": "T", "year": 2019, "reference": "arXiv", "where": "Table 1",
        "quoted_from": None,
    }  # fmt: skip
    result = PublishedResult.model_validate({
        "schema_version": 1, "protocol": "zsl-v1", "dataset": "glyphs", "losses": ["triplet"],
        "combiner": None, "backbone": "resnet-mini", "pretrained": False, "embedding_dim": 64,
        "num_seeds": None, "conditions": "none", "metrics": metrics, "source": source,
        "submitter": None,
    })  # fmt: skip
    assert finding(leaderboard_frame([], published=[result]), [], "recall_at_1") == []
