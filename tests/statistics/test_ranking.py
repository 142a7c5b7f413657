"""Rank ranges: what they are by hand, and that they hold on boards of known truth."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from dmlbench.statistics.intervals import holm, paired_difference
from dmlbench.statistics.ranking import rank_ranges, separations, smallest_difference

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "rank_simulation.py"


@pytest.fixture(scope="module")
def simulation():
    spec = importlib.util.spec_from_file_location("rank_simulation", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_of(values, splits=1):
    keys = [(trial % splits, trial // splits) for trial in range(np.shape(values)[1])]
    return [dict(zip(keys, map(float, row), strict=True)) for row in values]


def test_few_rows_are_paired_t_tests_with_holm():
    values = np.random.default_rng(0).normal([[50], [51], [54], [57]], 1.0, (4, 6))
    expected = np.zeros((4, 4), int)
    for i in range(4):
        others = [j for j in range(4) if j != i]
        ps = holm([scipy.stats.ttest_rel(values[i], values[j]).pvalue for j in others])
        for j, p in zip(others, ps, strict=True):
            expected[i, j] = np.sign(values[i].mean() - values[j].mean()) * (p <= 0.05)
    found = separations(rows_of(values))
    assert np.array_equal(found, expected) and 0 < np.abs(found).sum() < 12
    ranges = rank_ranges(rows_of(values))
    assert [r.low for r in ranges] == (1 + (expected < 0).sum(axis=1)).tolist()
    assert [r.high for r in ranges] == (4 - (expected > 0).sum(axis=1)).tolist()


def test_rows_are_paired_over_the_trials_that_both_have():
    a, b = rows_of([[1, 2, 3, 4, 5], [1.5, 2.4, 3.6, 4.5, 5.5]])
    more = b | {(0, s): 100.0 for s in range(5, 9)}
    p = paired_difference(a, b).p_value
    assert p < 0.05 and np.array_equal(separations([a, more]), [[0, -1], [1, 0]])
    apart = {(0, s + 20): value for (_, s), value in b.items()}
    assert not separations([a, apart]).any(), "no trial in common"


def test_several_submissions_of_a_configuration_count_once():
    low, high = ([base + 0.1 * (s * k % 3) for s in range(5)] for k, base in ((1, 1), (2, 5)))
    between = [3.0, 3.2, 2.9, 3.1, 3.0]
    rows = rows_of([high, low, between])
    assert rank_ranges(rows) == [(1, 1), (3, 3), (2, 2)]
    # Of "a" one submission is above "b", the other below: neither is said of "a".
    assert rank_ranges(rows, ["a", "a", "b"]) == [(1, 1), (2, 2), (1, 2)]
    assert rank_ranges(rows_of([high, high, between]), ["a", "a", "b"]) == [(1, 1), (1, 1), (2, 2)]
    assert rank_ranges(rows_of([high])) == [(1, 1)] and rank_ranges([]) == []


@pytest.mark.parametrize("n", [3, 12])
def test_values_without_noise(n):
    equal = rank_ranges(rows_of(np.full((n, 5), 0.5)))
    assert equal == [(1, n)] * n
    apart = rank_ranges(rows_of(np.arange(n)[:, None] + np.zeros(5)))
    assert apart == [(n - i, n - i) for i in range(n)]


def test_splits_are_the_units_where_there_are_several():
    rng = np.random.default_rng(1)
    # A row's luck on a split is the same in all its 20 seeds: they are no evidence beyond it.
    luck = rng.normal(0, 1, (4, 1, 5))
    values = (luck + 0.01 * rng.normal(size=(4, 20, 5))).reshape(4, 100)
    assert not separations(rows_of(values, splits=5)).any()
    assert separations(rows_of(values)).any(), "as if the trials were independent"


def test_what_a_board_can_see_shrinks_with_trials_and_grows_with_rows():
    def seen(n, trials):
        rng = np.random.default_rng(2)
        return np.mean(
            [smallest_difference(rows_of(rng.normal(0, 2, (n, trials)))) for _ in range(20)]
        )

    assert seen(20, 15) < seen(20, 5) < seen(60, 5)
    assert smallest_difference(rows_of([[1, 2, 3, 4, 5]])) is None


def test_what_two_rows_can_see_by_hand():
    """For a known noise: (t 0.975 + t 0.8) of 14 degrees, or more for an estimated one."""
    t, values = scipy.stats.t(14), np.random.default_rng(2).normal(0, 2, (2, 15))
    error = np.std(values[0] - values[1], ddof=1) / 15**0.5
    found = smallest_difference(rows_of(values)) / error
    assert 1.0 < found / (t.ppf(0.975) + t.ppf(0.8)) < 1.1


@pytest.mark.parametrize("trials", [5, 10, 15])
@pytest.mark.parametrize("n, boards", [(2, 400), (3, 250), (5, 150), (10, 100), (60, 20)])
def test_the_difference_that_is_named_is_found_in_four_of_five_boards(
    simulation, n, boards, trials
):
    share, _ = simulation.power("equal rows", n, trials, boards)
    assert 0.73 < share < 0.87


def test_the_correction_counts_configurations():
    values = np.random.default_rng(4).normal(0, 2, (6, 5))
    twice = rows_of(np.repeat(values, 2, axis=0)[:8])
    found = smallest_difference(twice, [0, 0, 1, 1, 2, 2, 3, 3])
    strict = smallest_difference(twice)
    assert found < strict
    assert smallest_difference(twice, ["one"] * 8) is None


@pytest.mark.filterwarnings("error")
def test_rows_that_share_no_trial_say_nothing_of_the_others_noise():
    usual = rows_of(np.random.default_rng(6).normal(0, 2, (12, 5)))
    apart = [{(0, 10 * i + s): 0.1 * s for s in range(5)} for i in range(1, 9)]
    found, alone = smallest_difference([*usual, *apart]), smallest_difference(usual)
    assert found == pytest.approx(alone, rel=0.2)
    assert smallest_difference(apart) is None and rank_ranges(apart) == [(1, 8)] * 8


def test_a_wild_row_does_not_count_as_typical():
    values = np.random.default_rng(5).normal(0, 2, (6, 10))
    usual = smallest_difference(rows_of(values))
    values[0] *= 20
    assert smallest_difference(rows_of(values)) < 1.5 * usual


@pytest.mark.parametrize("n", [10, 30])
@pytest.mark.parametrize(
    "board",
    ["equal rows", "one wild (8 x the noise)", "one restless (2.5 x)", "noise of all kinds",
     "two families", "five splits"],
)  # fmt: skip
def test_false_separations_stay_under_five_percent(simulation, board, n):
    """Of 150 boards, always the same; two standard errors of such a share above 5 %."""
    found = simulation.simulate(board, n, 5, boards=150, with_paired=False)
    limit = 0.05 + 2 * (0.05 * 0.95 / 150) ** 0.5
    assert found.false < limit and found.false_first < limit


def test_borrowing_makes_ranges_narrower(simulation):
    found = simulation.simulate("means over 35 points, one wild", 60, 5, boards=10)
    assert found.width < 0.75 * found.paired_width and found.false < 0.05
