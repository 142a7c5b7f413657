"""Verdicts: each outcome, its numbers against SciPy, and the words it is given."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from words import worded

from dmlbench.leaderboard.comparison.sentence import p_text, points
from dmlbench.leaderboard.comparison.verdict import verdicts
from dmlbench.leaderboard.verification.tiers import Verification

TRIPLET = [0.50, 0.52, 0.51, 0.49, 0.53]
MS = [0.55, 0.56, 0.56, 0.54, 0.58]
BETTER = [0.57, 0.59, 0.57, 0.56, 0.605]
NOISY = [0.58, 0.54, 0.57, 0.53, 0.59]
WORSE = [0.53, 0.545, 0.535, 0.52, 0.565]


@pytest.fixture
def singles(make_entry):
    return [make_entry("triplet", TRIPLET), make_entry("ms", MS)]


def only(found):
    (verdict,) = found
    return verdict


def test_beats(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, *singles]))
    test = scipy.stats.ttest_rel(BETTER, MS)
    low, high = test.confidence_interval(0.95)
    assert verdict.outcome == "better"
    assert (verdict.best_single, verdict.best_single_id) == ("ms", singles[1].entry_id)
    assert verdict.difference.mean == pytest.approx(0.021)
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx((low, high))
    assert verdict.difference.p_value == verdict.p_adjusted == pytest.approx(test.pvalue)
    interval = f"{100 * low:.1f} to {100 * high:.1f}"
    worded(verdict.sentence, "2.1 points of MAP@R", interval, f"p = {test.pvalue:.3f}")


def test_no_difference(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", NOISY, combiner="wedl"), *singles]))
    assert verdict.outcome == "no significant difference"
    worded(verdict.sentence, "wedl(triplet + ms)", "+0.4 points")


def test_worse(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", WORSE, combiner="wedl"), *singles]))
    assert verdict.outcome == "worse"
    assert verdict.p_adjusted == pytest.approx(2 * scipy.stats.ttest_rel(WORSE, MS).pvalue)
    worded(verdict.sentence, "1.9 points", "2 single losses")


def test_worse_is_no_likelier_by_chance_however_many_losses_are_combined(make_entry):
    """Ten losses and their ensemble, all equally good: 2.5 % on either side, not four times that.

    The choice of the best single on the same seeds has to be paid for.
    """
    names = [f"loss{number}" for number in range(10)]
    rows = [make_entry(name, [0.5] * 5) for name in names]
    rows.append(make_entry("+".join(names), [0.5] * 5, combiner="wedl"))
    generator = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        values = generator.normal(0.5, 0.02, (11, 5))
        drawn = [with_values(row, own) for row, own in zip(rows, values, strict=True)]
        found.append(only(verdicts(drawn, verification=lambda _: Verification("checked"))))
    for outcome in ("worse", "better"):
        assert sum(verdict.outcome == outcome for verdict in found) <= 0.04 * len(found)
    uncorrected = [v.difference.p_value < 0.05 and v.difference.mean < 0 for v in found]
    assert sum(uncorrected) > 0.06 * len(found)


def with_values(entry, map_at_r):
    """The entry with another MAP@R for each seed, not validated again."""
    trials = [
        trial.model_copy(
            update={"metrics": trial.metrics.model_copy(update={"map_at_r": float(value)})}
        )
        for trial, value in zip(entry.trials, map_at_r, strict=True)
    ]
    return entry.model_copy(update={"trials": trials})


def test_equal_trials_give_no_difference_and_no_nan(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", MS, combiner="wedl"), *singles]))
    assert verdict.outcome == "no significant difference"
    worded(verdict.sentence, "0.0 to 0.0")


def test_a_missing_single_loss_is_named_and_forbids_the_claim(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, singles[0]]))
    assert verdict.outcome == "incomplete" and verdict.missing == ("ms",)
    assert verdict.best_single == "triplet"
    worded(verdict.sentence, "triplet", "ms")


def test_worse_than_one_is_worse_whatever_is_missing(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", WORSE, combiner="wedl"), singles[1]]))
    assert verdict.outcome == "worse" and verdict.missing == ("triplet",)


def test_without_single_losses_there_is_no_verdict(make_entry):
    other_width = make_entry("triplet", TRIPLET, embedding_dim=128)
    entries = [make_entry("triplet+ms", BETTER, combiner="wedl"), other_width]
    verdict = only(verdicts(entries))
    assert verdict.outcome == "inconclusive" and verdict.best_single is None
    worded(verdict.sentence, "triplet and ms")


def test_one_common_seed_gives_no_confidence(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", [0.6], combiner="wedl"), *singles]))
    assert verdict.outcome == "inconclusive" and verdict.p_adjusted is None
    worded(verdict.sentence, "seed 0", "5.0 points", "--seeds 5")


def test_no_common_seed(make_entry, singles):
    lonely = make_entry("triplet+ms", BETTER, seeds=[10, 11, 12, 13, 14], combiner="wedl")
    verdict = only(verdicts([lonely, *singles], verification=lambda _: Verification("checked")))
    assert verdict.outcome == "inconclusive" and verdict.missing == ("triplet", "ms")


def test_two_common_seeds_are_too_few_even_where_both_give_the_same_difference(make_entry):
    for two, outcome in (([0.6, 0.62], "above"), ([0.4, 0.42], "below")):
        entries = [
            make_entry("triplet+ms", two, combiner="wedl"),
            make_entry("triplet", [0.5, 0.52]),
            make_entry("ms", [0.5, 0.52]),
        ]
        verdict = only(verdicts(entries))
        assert verdict.outcome == "inconclusive" and not verdict.separates
        worded(verdict.sentence, "seeds 0 and 1", f"10.0 points of MAP@R {outcome}")


def test_a_single_loss_on_one_seed_does_not_take_the_place_of_one_on_five(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, singles[1], make_entry("triplet", [0.9])]))
    assert verdict.best_single == "ms" and verdict.difference.n == 5
    # It may well be the better one, so that nothing is claimed over the best.
    assert verdict.outcome == "incomplete" and verdict.missing == ("triplet",)
    worded(verdict.sentence, "triplet")
    worse = make_entry("triplet+ms", WORSE, combiner="wedl")
    assert only(verdicts([worse, singles[1], make_entry("triplet", [0.9])])).outcome == "worse"
    # On two seeds nothing can be tested, but they say more than one does.
    few = [make_entry("ms", MS[:2]), make_entry("triplet", [0.9])]
    assert only(verdicts([ensemble, *few])).best_single == "ms"


def test_four_seeds_count_beside_five(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, singles[0], make_entry("ms", MS[:4], failed={4: "NaN"})]))
    assert (verdict.best_single, verdict.difference.n) == ("ms", 4)
    assert verdict.missing == () and verdict.outcome == "better"


def test_rows_that_do_not_stand_their_checks_decide_nothing_and_are_named(make_entry, singles):
    picked = [0, 3, 7, 9, 12]
    cherry = make_entry("triplet+ms", [0.8, 0.82, 0.81, 0.8, 0.83], seeds=picked, combiner="wedl")
    same = [make_entry(s.label, TRIPLET, seeds=picked) for s in singles]
    honest = make_entry("triplet+ms", BETTER, combiner="equal")
    for entries in ([cherry, *singles], [cherry, *same], [cherry, honest, *singles]):
        verdict = next(v for v in verdicts(entries) if v.entry_id == cherry.entry_id)
        assert verdict.outcome == "inconclusive" and verdict.best_single is None
        worded(verdict.sentence, "wedl(triplet + ms)")
    alone, beside = verdicts([honest, *singles]), verdicts([cherry, honest, *singles])
    assert alone[0] == beside[0], "it counts as no comparison either"

    verdict = only(verdicts([honest, singles[0], same[1]]))
    assert verdict.outcome == "incomplete" and verdict.left_out == ("ms",)
    assert verdict.best_single == "triplet" and verdict.missing == ()
    worded(verdict.sentence, "triplet", "ms")
    verdict = only(verdicts([honest, *same]))
    assert verdict.outcome == "inconclusive"
    worded(verdict.sentence, "triplet and ms")
    verdict = only(verdicts([honest, same[1]]))
    worded(verdict.sentence, "triplet", "ms")
    # Somebody's claim that fails takes nothing from a row that stands.
    assert only(verdicts([honest, *singles, same[1]])).outcome == "better"


def test_the_standing_is_the_callers(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    failing = {singles[1].entry_id: Verification("unverified", ("seeds: picked",))}

    def verification(entry):
        return failing.get(entry.entry_id, Verification("checked"))

    assert only(verdicts([ensemble, *singles], verification=verification)).left_out == ("ms",)


def test_the_same_loss_with_other_parameters_is_another_loss(make_entry, make_component):
    wide = make_component("triplet", params={"margin": 0.5})
    narrow = make_component("triplet", params={"margin": 0.1})
    ensemble = make_entry([narrow, make_component("ms")], BETTER, combiner="wedl")
    entries = [ensemble, make_entry([wide], NOISY), make_entry("ms", MS)]
    assert only(verdicts(entries)).missing == ("triplet(margin=0.1)",)


def test_other_code_is_said(make_entry, make_component):
    edited = make_component("ms", source_sha256="f" * 64)
    entries = [
        make_entry("triplet+ms", BETTER, combiner="wedl"),
        make_entry("triplet", TRIPLET),
        make_entry([edited], MS),
    ]
    verdict = only(verdicts(entries))
    assert verdict.code_differs
    worded(verdict.sentence)


def test_several_comparisons_are_corrected(make_entry, singles):
    # Alone, this one would be significant at 5 %; as the weakest of three it is still p times 1,
    # so the middle one is the one that Holm doubles.
    nearly = [m + d for m, d in zip(MS, [0.02, 0.002, 0.015, 0.003, 0.02], strict=True)]
    weaker = [m + d for m, d in zip(MS, [0.02, -0.002, 0.02, 0.0, 0.012], strict=True)]
    p_alone = scipy.stats.ttest_rel(nearly, MS).pvalue
    assert 0.025 < p_alone < 0.05
    alone = only(verdicts([make_entry("triplet+ms", nearly, combiner="wel"), *singles]))
    assert alone.outcome == "better"
    worded(alone.sentence)
    found = verdicts(
        [
            make_entry("triplet+ms", BETTER, combiner="wedl"),
            make_entry("triplet+ms", nearly, combiner="wel"),
            make_entry("triplet+ms", weaker, combiner="equal"),
            *singles,
        ]
    )
    assert [v.outcome for v in found] == [
        "better",
        "no significant difference",
        "no significant difference",
    ]
    assert found[1].difference.low > 0
    assert found[1].p_adjusted == pytest.approx(2 * p_alone)
    worded(found[1].sentence, f"p = {2 * p_alone:.3f}", "3 comparisons")


def test_groups_do_not_share_comparisons(make_entry, singles):
    entries = [make_entry("triplet+ms", BETTER, combiner="wedl"), *singles] + [
        make_entry(name, values, combiner=combiner, dataset="other")
        for name, values, combiner in (
            ("triplet", TRIPLET, None), ("ms", MS, None), ("triplet+ms", BETTER, "wedl")
        )
    ]  # fmt: skip
    assert [verdict.num_comparisons for verdict in verdicts(entries)] == [1, 1]


def test_by_recall_names_map_second(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, *singles], "recall_at_1"))
    assert verdict.metric == "recall_at_1"
    worded(verdict.sentence, "points of Recall@1", "MAP@R +2.1 points")


def test_singles_alone_give_no_verdicts(singles):
    assert verdicts(singles) == [] and verdicts([]) == []


def test_texts_of_numbers():
    assert points(0.0192) == "1.9"
    assert points(0.0003) == "0.03" and points(-0.0003, signed=True) == "-0.03"
    assert points(0.0) == "0.0" and points(-1e-9, signed=True) == "0.0"
    assert p_text("p", 0.0004) == "p < 0.001"
    assert p_text("p", 0.0496) == "p = 0.0496" and p_text("p", 0.0504) == "p = 0.050"
    assert p_text("p", 0.25) == "p = 0.25"
