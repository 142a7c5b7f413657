"""Intervals, paired differences and Holm's correction against SciPy and by hand."""

from __future__ import annotations

import math

import numpy
import pytest
import scipy.stats

from dmlbench.statistics.intervals import by_unit, holm, mean_interval, paired_difference


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("values", [[0.1, 0.2], [0.5, 0.52, 0.47, 0.51, 0.49], [0.0, 1.0, 1.0]])
def test_interval_is_scipys(values, confidence):
    interval = mean_interval(values, confidence)
    low, high = scipy.stats.t.interval(
        confidence, len(values) - 1, loc=numpy.mean(values), scale=scipy.stats.sem(values)
    )
    assert interval.mean == pytest.approx(numpy.mean(values), abs=1e-15)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-9)


def test_interval_by_hand():
    # s = 1, n = 4, t_{0.975, 3} = 3.182446
    values = [1 - math.sqrt(0.75), 1 + math.sqrt(0.75), 1 - math.sqrt(0.75), 1 + math.sqrt(0.75)]
    interval = mean_interval(values)
    assert interval.high - interval.mean == pytest.approx(3.182446 / 2, abs=1e-6)


def test_one_value_has_no_interval():
    assert mean_interval([0.4]) == (0.4, None, None)


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.1, 0.1, 0.1]) == (0.1, 0.1, 0.1)


def test_interval_is_not_clipped():
    assert mean_interval([0.0, 0.02]).low < 0


@pytest.mark.parametrize("values", [[], [math.nan, 0.1], [math.inf]])
def test_no_mean_of_nothing_or_nan(values):
    with pytest.raises(ValueError, match="mean needs"):
        mean_interval(values)


def seeds(values):
    """Seed -> value as trials of the dataset's own split."""
    return {(0, seed): value for seed, value in values.items()}


def test_paired_difference_is_scipys_over_common_seeds():
    a = seeds({0: 0.51, 1: 0.55, 2: 0.50, 3: 0.54, 9: 0.99})
    b = seeds({3: 0.50, 1: 0.52, 0: 0.50, 2: 0.48, 7: 0.01})
    difference = paired_difference(a, b)
    x, y = [a[0, s] for s in range(4)], [b[0, s] for s in range(4)]
    expected = scipy.stats.ttest_rel(x, y)
    interval = expected.confidence_interval(0.95)
    assert difference.trials == ((0, 0), (0, 1), (0, 2), (0, 3)) and difference.n == 4
    assert difference.mean == pytest.approx(0.025)
    assert difference.p_value == pytest.approx(expected.pvalue)
    assert (difference.low, difference.high) == pytest.approx((interval.low, interval.high))


def test_paired_difference_of_equal_differences_has_no_nan():
    same = paired_difference(seeds({0: 0.3, 1: 0.4, 2: 0.7}), seeds({0: 0.3, 1: 0.4, 2: 0.7}))
    assert (same.mean, same.low, same.high, same.p_value) == (0, 0, 0, 1.0)
    # 0.3 - 0.2 and 0.7 - 0.6 differ in the last bit.
    shifted = paired_difference(seeds({0: 0.3, 1: 0.4, 2: 0.7}), seeds({0: 0.2, 1: 0.3, 2: 0.6}))
    assert shifted.mean == shifted.low == shifted.high == pytest.approx(0.1)
    assert shifted.p_value == 0.0


def test_paired_difference_of_too_few_seeds():
    one = paired_difference(seeds({0: 0.5, 1: 0.1}), seeds({0: 0.25, 2: 0.9}))
    assert (one.mean, one.low, one.high, one.p_value, one.n) == (0.25, None, None, None, 1)
    # Equal differences have no width, and would be certain from two seeds already.
    two = paired_difference(seeds({0: 0.5, 1: 0.6}), seeds({0: 0.4, 1: 0.5}))
    assert two.low == two.high == pytest.approx(0.1) and two.p_value is None
    none = paired_difference(seeds({0: 0.5}), seeds({1: 0.5}))
    assert (none.mean, none.p_value, none.n) == (None, None, 0)


def test_the_trials_of_a_split_are_one_observation():
    a = {(split, seed): 0.1 * split + 0.01 * seed for split in range(3) for seed in range(4)}
    b = {key: 0.0 for key in a if key != (2, 3)}
    difference = paired_difference(a, b)
    by_split = [0.015, 0.115, 0.21]
    expected = scipy.stats.ttest_1samp(by_split, 0)
    assert by_unit({key: a[key] for key in b}) == pytest.approx(by_split)
    assert (difference.n, difference.num_splits, difference.num_units) == (11, 3, 3)
    assert difference.p_value == pytest.approx(expected.pvalue)
    assert difference.low == pytest.approx(expected.confidence_interval().low)


def test_holm_by_hand():
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1, then never decreasing.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []
