"""Contrasts and decompositions against brute force and scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from dmlbench.statistics.contrasts import contrast, decomposition, unit_values


def board(rows, splits=1, seeds=6, seed=0, between=1.0):
    """Rows with these means, a noise of each split and one of each trial."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 3, splits)
    found = []
    for mean in rows:
        own = rng.normal(0, between, splits)
        found.append(
            {
                (s, k): mean + shared[s] + own[s] + rng.normal()
                for s in range(splits)
                for k in range(seeds)
            }
        )
    return found


def test_one_row_a_side_is_the_paired_test():
    a, b = board([1.0, 0.0])
    found = contrast([a], [b])
    oracle = stats.ttest_rel(list(a.values()), list(b.values()))
    interval = oracle.confidence_interval(0.95)
    assert found.mean == pytest.approx(np.mean(list(a.values())) - np.mean(list(b.values())))
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_better == pytest.approx(oracle.pvalue)
    assert contrast([b], [a]).p_worse == pytest.approx(oracle.pvalue)
    assert found.wide_low is None and (found.units, found.trials) == (6, 6)


def test_several_splits_are_the_units_and_widen_the_interval_for_other_classes():
    a, b = board([1.0, 0.0], splits=5, seeds=4)
    found = contrast([a], [b])
    means = [np.mean([a[s, k] - b[s, k] for k in range(4)]) for s in range(5)]
    oracle = stats.ttest_1samp(means, 0)
    assert found.p_better == pytest.approx(oracle.pvalue)
    assert (found.units, found.trials) == (5, 20)
    half = oracle.confidence_interval().high - np.mean(means)
    # (1/S + n_test/n_train) in place of 1/S, with halves of the classes.
    assert found.wide_high == pytest.approx(np.mean(means) + half * np.sqrt((1 / 5 + 1) * 5))


def test_beating_the_best_is_beating_each():
    ours, *theirs = board([2.5, 0.5, 0.2, -1.0], seeds=8, between=0.0)
    found = contrast([ours], theirs)
    each = [
        stats.ttest_rel(list(ours.values()), list(row.values()), alternative="greater").pvalue
        for row in theirs
    ]
    assert found.p_better == pytest.approx(min(1, 2 * max(each)))
    below = [
        stats.ttest_rel(list(row.values()), list(ours.values()), alternative="greater").pvalue
        for row in theirs
    ]
    assert found.p_worse == pytest.approx(min(1, 2 * 3 * min(below)))


def test_the_best_is_chosen_without_the_trial_it_is_judged_on():
    rows = board([0.0, 0.1, 0.2], seeds=7, seed=3)
    (nothing,) = board([0.0], seeds=7, seed=4)
    values, _ = unit_values(rows)
    expected = []
    for unit in range(7):
        others = [u for u in range(7) if u != unit]
        best = max(range(3), key=lambda row: values[row, others].mean())
        expected.append(values[best, unit])
    found = contrast(rows, [nothing])
    assert found.mean == pytest.approx(np.mean(expected) - np.mean(list(nothing.values())))


def test_many_equal_rows_are_not_better_than_one():
    boards = [board([0.0] * 9, seeds=10, seed=seed, between=0.0) for seed in range(300)]
    leads = [contrast(rows[:8], rows[8:]).mean for rows in boards]
    means = [[np.mean(list(row.values())) for row in rows] for rows in boards]
    naive = [max(of[:8]) - of[8] for of in means]
    assert abs(np.mean(leads)) < 3 * np.std(leads) / np.sqrt(300)
    assert np.mean(naive) > 0.3  # what choosing and judging on the same trials would have said


def test_only_trials_that_all_rows_have_count():
    a, b = board([1.0, 0.0], seeds=5)
    b.pop((0, 4))
    b[0, 9] = 100.0
    found = contrast([a], [b])
    assert found.trials == 4
    with pytest.raises(ValueError, match="in common"):
        contrast([a], [{(3, 0): 1.0}])


@pytest.mark.parametrize("values, greater", [([0.1] * 4, 0.0), ([0.0] * 4, 1.0), ([-0.1] * 4, 1.0)])
def test_differences_without_spread(values, greater):
    a = {(0, s): 0.5 + v for s, v in enumerate(values)}
    found = contrast([a], [{(0, s): 0.5 for s in range(4)}])
    assert found.p_better == greater


def test_two_trials_are_never_tested():
    a, b = board([1.0, 0.0], seeds=2)
    found = contrast([a], [b])
    assert found.p_better is None and found.high is not None


def test_the_steps_of_a_decomposition_add_up_to_the_whole():
    rows = board([0.0, 0.3, 0.2, 1.0, 1.1], splits=4, seeds=3)
    *steps, whole = decomposition([rows[:2], rows[2:3], rows[3:4], rows[4:]])
    assert sum(step.mean for step in steps) == pytest.approx(whole.mean)
    assert whole.mean == pytest.approx(contrast(rows[4:], rows[:2]).mean)
    assert whole.high == pytest.approx(contrast(rows[4:], rows[:2]).high)
    with pytest.raises(ValueError, match="two levels"):
        decomposition([rows])


def test_a_lead_is_ruled_out_against_the_smallest_that_matters():
    a, b = board([0.3, 0.0], seeds=9, between=0.0)
    found = contrast([a], [b], smallest=2.0)
    differences = [a[key] - b[key] for key in sorted(a)]
    oracle = stats.ttest_1samp(differences, 2.0, alternative="less").pvalue
    assert found.p_lead == pytest.approx(min(1, 2 * oracle))


def test_independent_units_need_no_wider_interval():
    a, b = board([1.0, 0.0], splits=5, seeds=2)
    assert contrast([a], [b], independent=True).wide_low is None
