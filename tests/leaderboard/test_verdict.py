"""Verdicts: each outcome, its numbers against SciPy, and the words it is given."""

from __future__ import annotations

import pytest
import scipy.stats

from dmlbench.leaderboard.sentence import p_text, points
from dmlbench.leaderboard.verdict import verdicts

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
    assert verdict.outcome == "beats"
    assert (verdict.best_single, verdict.best_single_id) == ("ms", singles[1].entry_id)
    assert verdict.difference.mean == pytest.approx(0.021)
    assert (verdict.difference.low, verdict.difference.high) == pytest.approx((low, high))
    assert verdict.difference.p_value == verdict.p_adjusted == pytest.approx(test.pvalue)
    assert verdict.sentence == (
        f"wedl(triplet + ms) beats its best single loss, ms, by 2.1 points of MAP@R (95 % interval "
        f"{100 * low:.1f} to {100 * high:.1f}, paired over 5 seeds, p = {test.pvalue:.3f}); "
        f"Recall@1 +2.1 points ({100 * low:.1f} to {100 * high:.1f})."
    )


def test_no_difference(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", NOISY, combiner="wedl"), *singles]))
    assert verdict.outcome == "no difference"
    assert "does not beat its best single loss, ms: the difference is +0.4 points" in (
        verdict.sentence
    )
    assert "which includes 0" in verdict.sentence


def test_worse(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", WORSE, combiner="wedl"), *singles]))
    assert verdict.outcome == "worse"
    assert "is worse than its best single loss, ms, by 1.9 points of MAP@R" in verdict.sentence


def test_equal_trials_give_no_difference_and_no_nan(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", MS, combiner="wedl"), *singles]))
    assert verdict.outcome == "no difference"
    assert "difference is 0.0 points of MAP@R (95 % interval 0.0 to 0.0" in verdict.sentence
    assert "Every seed gave the same difference" in verdict.sentence
    assert "nan" not in verdict.sentence


def test_a_missing_single_loss_is_named_and_forbids_the_claim(make_entry, singles):
    ensemble = make_entry("triplet+ms", BETTER, combiner="wedl")
    verdict = only(verdicts([ensemble, singles[0]]))
    assert verdict.outcome == "incomplete" and verdict.missing == ("ms",)
    assert "beats the best of its losses run alone, triplet, by" in verdict.sentence
    assert "Missing: ms was not run alone here" in verdict.sentence


def test_worse_than_one_is_worse_whatever_is_missing(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", WORSE, combiner="wedl"), singles[1]]))
    assert verdict.outcome == "worse" and verdict.missing == ("triplet",)


def test_without_single_losses_there_is_no_verdict(make_entry):
    other_width = make_entry("triplet", TRIPLET, embedding_dim=128)
    entries = [make_entry("triplet+ms", BETTER, combiner="wedl"), other_width]
    verdict = only(verdicts(entries))
    assert verdict.outcome == "undecided" and verdict.best_single is None
    assert "none of its losses (triplet and ms) was run alone" in verdict.sentence


def test_one_common_seed_gives_no_confidence(make_entry, singles):
    verdict = only(verdicts([make_entry("triplet+ms", [0.6], combiner="wedl"), *singles]))
    assert verdict.outcome == "undecided" and verdict.p_adjusted is None
    assert "no verdict from one common seed (seed 0)" in verdict.sentence
    assert "5.0 points of MAP@R above" in verdict.sentence and "--seeds 5" in verdict.sentence


def test_no_common_seed(make_entry, singles):
    lonely = make_entry("triplet+ms", BETTER, seeds=[10, 11, 12, 13, 14], combiner="wedl")
    verdict = only(verdicts([lonely, *singles]))
    assert verdict.outcome == "undecided" and verdict.missing == ("triplet", "ms")


def test_the_same_loss_with_other_parameters_is_another_loss(make_entry, make_component):
    wide = make_component("triplet", params={"margin": 0.5})
    narrow = make_component("triplet", params={"margin": 0.1})
    ensemble = make_entry([narrow, make_component("ms")], BETTER, combiner="wedl")
    entries = [ensemble, make_entry([wide], NOISY), make_entry("ms", MS)]
    assert only(verdicts(entries)).missing == ("triplet (margin=0.1)",)


def test_other_code_is_said(make_entry, make_component):
    edited = make_component("ms", source_sha256="f" * 64)
    entries = [
        make_entry("triplet+ms", BETTER, combiner="wedl"),
        make_entry("triplet", TRIPLET),
        make_entry([edited], MS),
    ]
    verdict = only(verdicts(entries))
    assert verdict.code_differs and "different versions of the code" in verdict.sentence


def test_several_comparisons_are_corrected(make_entry, singles):
    # Alone, this one would be significant at 5 %; as the weakest of three it is still p times 1,
    # so the middle one is the one that Holm doubles.
    nearly = [m + d for m, d in zip(MS, [0.02, 0.002, 0.015, 0.003, 0.02], strict=True)]
    weaker = [m + d for m, d in zip(MS, [0.02, -0.002, 0.02, 0.0, 0.012], strict=True)]
    p_alone = scipy.stats.ttest_rel(nearly, MS).pvalue
    assert 0.025 < p_alone < 0.05
    alone = only(verdicts([make_entry("triplet+ms", nearly, combiner="wel"), *singles]))
    assert alone.outcome == "beats" and "corrected" not in alone.sentence
    found = verdicts(
        [
            make_entry("triplet+ms", BETTER, combiner="wedl"),
            make_entry("triplet+ms", nearly, combiner="wel"),
            make_entry("triplet+ms", weaker, combiner="equal"),
            *singles,
        ]
    )
    assert [v.outcome for v in found] == ["beats", "no difference", "no difference"]
    assert found[1].difference.low > 0
    assert found[1].p_adjusted == pytest.approx(2 * p_alone)
    assert f"p = {2 * p_alone:.3f} corrected for 3 comparisons" in found[1].sentence
    assert "does not beat" in found[1].sentence and "includes 0" not in found[1].sentence


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
    assert verdict.metric == "recall_at_1" and "points of Recall@1" in verdict.sentence
    assert "; MAP@R +2.1 points" in verdict.sentence


def test_singles_alone_give_no_verdicts(singles):
    assert verdicts(singles) == [] and verdicts([]) == []


def test_texts_of_numbers():
    assert points(0.0192) == "1.9"
    assert points(0.0003) == "0.03" and points(-0.0003, signed=True) == "-0.03"
    assert points(0.0) == "0.0" and points(-1e-9, signed=True) == "0.0"
    assert p_text("p", 0.0004) == "p < 0.001"
    assert p_text("p", 0.0496) == "p = 0.0496" and p_text("p", 0.0504) == "p = 0.050"
    assert p_text("p", 0.25) == "p = 0.25"
