"""Comparisons: intervals against other ways to get them, refusals, sentences, summaries."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from words import refused, worded

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.compare import Located, compare
from dmlbench.leaderboard.comparison.summary import summarise
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.views.comparison_plot import plot_comparisons
from dmlbench.leaderboard.views.summary_render import summary_csv, summary_json, summary_markdown
from dmlbench.statistics.bootstrap import class_difference, query_difference
from dmlbench.statistics.intervals import welch_difference

TRIED = {"params": {}, "validation_map_at_r": 0.5, "reason": None, "train_seconds": 1.0}
HIGH, LOW = [0.60, 0.61, 0.62], [0.50, 0.515, 0.52]


def located(tmp_path, *entries):
    return [Located(entry, write_entry(tmp_path, entry).parent) for entry in entries]


def test_the_bootstrap_over_queries_is_the_normal_interval_of_the_mean():
    generator = np.random.default_rng(1)
    a, b = generator.random((3, 4000)), generator.random((3, 4000))
    found = query_difference(a, b, resamples=4000)
    differences = (a - b).mean(axis=0)
    error = differences.std(ddof=1) / math.sqrt(4000)
    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.1 * error)
    assert found == query_difference(a, b, resamples=4000), "seeded"


def test_the_bootstrap_over_classes_knows_that_queries_of_a_class_go_together():
    generator = np.random.default_rng(2)
    labels = np.repeat(np.arange(50), 20)
    a = generator.normal(size=50)[labels][None] + 0.01 * generator.normal(size=(1, 1000))
    b = np.zeros_like(a)
    queries = query_difference(a, b, resamples=4000)
    classes = class_difference([(a, b, labels)], resamples=4000)
    # Twenty queries that say the same are one: the interval is √20 times as wide.
    ratio = (classes.high - classes.low) / (queries.high - queries.low)
    assert ratio == pytest.approx(math.sqrt(20), rel=0.1)
    # Classes of different sizes still weigh by their queries.
    uneven = np.repeat([0, 1], [1, 999])
    assert class_difference([(a, b, uneven)], 200).mean == pytest.approx(a.mean())
    with refused(ValueError):
        query_difference(a, b[:, :3])


def test_the_bootstrap_over_classes_and_splits_knows_the_luck_of_a_split():
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(40), 5)
    splits = [
        (luck + generator.normal(size=40)[labels][None], np.zeros((1, 200)), labels)
        for luck in (0.0, 1.0, 2.0, 3.0)
    ]
    apart = [(a, b, classes + 40 * i) for i, (a, b, classes) in enumerate(splits)]
    found = class_difference(apart, resamples=4000)
    assert found.mean == pytest.approx(np.mean([a.mean() for a, _, _ in splits]))
    # Of a mean of four: splits drawn again, and 40 classes within each.
    means = [a.mean() for a, _, _ in splits]
    error = math.sqrt(np.var(means) / 4 + 1 / 40 / 4)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.15)
    assert found == class_difference(apart, resamples=4000), "seeded"


def test_the_bootstrap_over_splits_knows_that_they_share_classes():
    generator = np.random.default_rng(4)
    favour = generator.normal(size=40)
    labels = np.repeat(np.arange(40), 5)

    def width(count, shift):
        splits = [
            (favour[labels][None], np.zeros((1, 200)), labels + shift * i) for i in range(count)
        ]
        found = class_difference(splits, resamples=4000)
        return found.high - found.low

    # However often the same classes are tested, there are no more of them.
    assert width(8, 0) == pytest.approx(width(1, 0), rel=0.1)
    assert width(8, 40) < 0.6 * width(1, 0)
    # Classes that a split lacks take no part in it.
    halves = [(np.ones((1, 2)), np.zeros((1, 2)), np.array(c)) for c in ([0, 1], [2, 3])]
    assert class_difference(halves, resamples=500).low == pytest.approx(1.0)


def test_welch_against_scipy():
    a, b = [0.5, 0.52, 0.55, 0.51], [0.4, 0.6, 0.48]
    found = welch_difference(a, b)
    expected = scipy.stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.includes_zero
    assert welch_difference([0.5, 0.5], [0.4, 0.4]).low == pytest.approx(0.1)
    with refused(ValueError):
        welch_difference([1.0], [1.0, 2.0])


def test_over_seeds_alone(make_entry, tmp_path):
    a, b = located(tmp_path, make_entry("ms", HIGH), make_entry("triplet", LOW))
    (found,) = compare(a, [b])
    expected = scipy.stats.ttest_rel(HIGH, LOW)
    assert found.seeds.p_value == pytest.approx(expected.pvalue)
    assert found.conclusion == "better" and found.queries is None
    worded(found.sentence, "9.8 points of MAP@R", "seed 0 of ms")
    (turned,) = compare(b, [a])
    assert turned.conclusion == "worse" and turned.seeds.mean == -found.seeds.mean
    (one,) = compare(*located(tmp_path, make_entry("x", [0.5])), [a])
    assert one.conclusion == "inconclusive"
    worded(one.sentence)
    # A failed trial is a trial with 0: nobody can hide the seeds on which a row is bad.
    y = make_entry("y", [0.70, 0.72], seeds=[1, 2], failed={0: "NaN at step 1"})
    y = y.model_copy(update={"trials": sorted(y.trials, key=lambda trial: trial.seed)})
    (failing,) = compare(*located(tmp_path, y), [a])
    assert [seed for _, seed, _ in failing.values] == [0, 1, 2]
    assert [v for *_, v in failing.values] == pytest.approx([-0.6, 0.09, 0.1])
    unmeasured = make_entry("y", HIGH, metric_changes={"nmi": None, "ami": None})
    (none,) = compare(*located(tmp_path, unmeasured), [a], "nmi")
    worded(none.sentence)


def test_an_entry_that_does_not_stand_its_checks_concludes_nothing(make_entry, tmp_path):
    picked = make_entry("ms", HIGH, seeds=[1, 2, 5])
    a, b, c = located(tmp_path, picked, make_entry("triplet", LOW), make_entry("circle", HIGH))
    for found in (*compare(a, [b]), *compare(b, [a])):
        assert found.conclusion == "inconclusive"
        worded(found.sentence, "ms")
    (sound,) = compare(c, [b])
    assert (sound.first_tier, sound.other_tier) == ("checked", "checked")
    worded(sound.sentence)


def test_rows_of_one_name_are_told_apart(make_entry, tmp_path):
    """Their names do not say in what the recipes or parameters of other rows differ."""
    one, other = (
        make_entry("ms", LOW, seeds=[1, 2, 3], recipe={"name": name}) for name in ("a", "b")
    )
    a, b = located(tmp_path, one, other)
    (found,) = compare(a, [b])
    assert found.first == f"ms ({one.entry_id})" and found.other == f"ms ({other.entry_id})"
    assert (found.first_tier, found.other_tier) == ("unverified", "unverified")
    assert f"ms ({one.entry_id}) and ms ({other.entry_id}) fail verification" in found.sentence


def test_rows_that_were_not_tuned_alike(make_entry, tmp_path):
    record = {
        "kind": "losses", "distribution": "dmlbench", "name": "ms", "setting_sha256": "a" * 64,
        "code_sha256": "b" * 64, "budget": 500, "seeds": [1000], "space": {}, "sampler": "none",
        "trials": [TRIED] * 500,
    }  # fmt: skip
    a, b = located(tmp_path, make_entry("ms", HIGH, tuning=[record]), make_entry("triplet", LOW))
    (found,) = compare(a, [b])
    worded(found.sentence, "500 tuning trials")


def test_two_common_seeds_conclude_nothing(make_entry, tmp_path):
    one, other = located(tmp_path, make_entry("a", HIGH[:2]), make_entry("b", [0.5, 0.51]))
    (found,) = compare(one, [other])
    assert found.conclusion == "inconclusive" and found.p_adjusted is None
    worded(found.sentence, "seeds 0 and 1")


def test_many_comparisons_are_corrected(make_entry, tmp_path):
    # p = 0.02 alone; with four comparisons the smallest p must be under 0.0125.
    first = make_entry("ms", [0.50, 0.50, 0.50])
    others = [make_entry(name, [0.485, 0.48, 0.475]) for name in "abcd"]
    entries = located(tmp_path, first, *others)
    alone = compare(entries[0], entries[1:2])
    together = compare(entries[0], entries[1:])
    p = scipy.stats.ttest_rel([0.5] * 3, [0.485, 0.48, 0.475]).pvalue
    assert 0.0125 < p < 0.05
    assert alone[0].conclusion == "better"
    assert {found.conclusion for found in together} == {"no significant difference"}
    assert together[0].p_adjusted == pytest.approx(4 * p)
    worded(together[0].sentence, "4 comparisons")


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"recipe": {"batch": {"classes": 16}}}, r"recipe\.batch\.classes \(none and 16\)"),
        ({"epochs": 4}, r"recipe\.epochs \(3 and 4\)"),
        ({"ks": (1, 10)}, "protocol"),
        ({"embedding_dim": 32}, "embedding_dim"),
        ({"dataset": "cub"}, "dataset"),
    ],
)
def test_rows_of_different_groups_are_refused_naming_what_differs(
    make_entry, tmp_path, changes, words
):
    a, b = located(tmp_path, make_entry("ms"), make_entry("triplet", **changes))
    with pytest.raises(UsageError, match=f"cannot be compared: they differ in .*{words}"):
        compare(a, [b])
    with refused(UsageError):
        compare(a, [a])


def test_the_seeds_agree_and_the_queries_do_not(make_entry, tmp_path, monkeypatch):
    """Every seed finds the same few queries better: another test set may not hold such queries."""
    from dmlbench.leaderboard.comparison import compare as module
    from dmlbench.leaderboard.comparison.queries import QueryScores

    a, b = located(tmp_path, make_entry("ms", HIGH), make_entry("triplet", LOW))
    labels = np.arange(40) // 2
    scores = {"ms": np.zeros((3, 40)), "triplet": np.zeros((3, 40))}
    scores["ms"][:, 0] = 1.0
    monkeypatch.setattr(
        module, "query_scores", lambda entry, *_: QueryScores(scores[entry.label], labels)
    )
    (found,) = compare(a, [b], resamples=500)
    assert found.conclusion == "no significant difference"
    worded(found.sentence)
    scores["ms"][:, :24] = 1.0
    (found,) = compare(a, [b], resamples=500)
    assert found.conclusion == "better"
    worded(found.sentence, "40 queries")
    file = tmp_path / "figure.png"
    plot_comparisons([found], file)
    assert file.stat().st_size > 5000


def test_a_mean_over_datasets_never_skips_a_missing_one(make_entry):
    entries = [
        make_entry("ms", [0.50, 0.52], dataset="one"),
        make_entry("ms", [0.30, 0.34], dataset="two", ks=(1, 10)),
        make_entry("triplet", [0.90, 0.92], dataset="one"),
    ]
    summary = summarise(entries)
    assert summary.datasets == ("one", "two")
    ms, triplet = summary.rows
    assert ms.losses == "ms" and triplet.losses == "triplet", "without a mean comes last"
    assert ms.mean.mean == pytest.approx(0.415)
    low, high = scipy.stats.t.interval(0.95, 1, 0.415, 0.015)
    assert (ms.mean.low, ms.mean.high) == pytest.approx((low, high))
    assert triplet.mean is None and triplet.cells[1].reason == "missing"
    (row,) = [row for row in json.loads(summary_json(summary))["rows"]
              if row["losses"] == "triplet"]  # fmt: skip
    assert row["mean"]["mean"] is None and row["datasets"]["two"]["reason"] == "missing"
    assert "| triplet | – |" in summary_markdown(summary)
    assert "missing | – (1 missing) |" in summary_markdown(summary)
    assert summary_csv(summary).splitlines()[-1].endswith(",missing,")


def test_a_mean_over_datasets_knows_which_seeds_it_is_over(make_entry):
    entries = [
        make_entry("ms", [0.50, 0.52, 0.54], dataset="one"),
        make_entry("ms", [0.30, 0.34], dataset="two"),
    ]
    (row,) = summarise(entries).rows
    assert row.mean == (pytest.approx(0.42), None, None)
    # Of two submissions each trial counts with its mean: neither is preferred, nor the row lost.
    other = make_entry("ms", [0.1, 0.2], dataset="two").model_copy(update={"submitter": "them"})
    summary = summarise([*entries, other])
    (row,) = summary.rows
    assert (row.cells[1].submissions, row.cells[1].interval.mean) == (2, pytest.approx(0.235))
    assert row.mean.mean == pytest.approx((0.52 + 0.235) / 2)
    assert "(2 submissions)" in summary_markdown(summary)
    # One that fails its checks does not count.
    picked = make_entry("ms", [0.9, 0.9], seeds=[1, 2], dataset="two")
    (row,) = summarise([*entries, picked]).rows
    assert row.cells[1].submissions == 1 and row.mean.mean == pytest.approx(0.42)
    # Two backbones are not one row.
    wide = make_entry("ms", dataset="two", embedding_dim=32)
    assert len(summarise([entries[0], wide]).rows) == 2
