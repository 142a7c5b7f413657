"""Power and variance components against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dmlbench.statistics.power import (
    difference_spread,
    power,
    smallest_seen,
    spread,
    variance_components,
)


@pytest.mark.parametrize(
    "difference, units, level", [(1.0, 6, 0.05), (0.8, 10, 0.01), (0.0, 5, 0.05)]
)
def test_power_is_how_often_a_t_test_finds_the_difference(difference, units, level):
    drawn = np.random.default_rng(0).normal(difference, 1.3, (20_000, units))
    found = (stats.ttest_1samp(drawn, 0, axis=1).pvalue < level).mean()
    assert power(difference, 1.3, units, level) == pytest.approx(found, abs=0.012)


def test_the_smallest_difference_seen_has_the_power_it_promises():
    smallest = smallest_seen(2.0, 8, 0.05 / 6, 0.8)
    assert power(smallest, 2.0, 8, 0.05 / 6) == pytest.approx(0.8, abs=1e-6)
    assert smallest_seen(2.0, 2) is None and power(1.0, 1.0, 1) == 0
    # SciPy's distribution has NaN in its far tail.
    assert all(power(1.0, 1.0 / shift, 20) == 1.0 for shift in (2.5, 5, 10))


def test_variance_components_are_those_that_were_drawn():
    rng = np.random.default_rng(1)
    drawn = {
        (split, seed): value + rng.normal(0, 2.0)
        for split, value in enumerate(rng.normal(0, 1.0, 400))
        for seed in range(1 + split % 4)
    }
    found = variance_components(drawn)
    assert found.within == pytest.approx(2.0, rel=0.1)
    assert found.between == pytest.approx(1.0, rel=0.25)


def test_splits_that_differ_less_than_chance_have_no_variance_of_their_own():
    flat = {(split, seed): float(seed) for split in range(3) for seed in range(4)}
    assert variance_components(flat).between == 0
    one = variance_components({(0, 0): 1.0, (0, 1): 2.0})
    assert math.isnan(one.between) and one.within == pytest.approx(math.sqrt(0.5))
    with pytest.raises(ValueError, match="two seeds"):
        variance_components({(0, 0): 1.0, (1, 0): 2.0})


def test_the_interval_of_a_spread_holds_the_true_one_as_often_as_it_says():
    drawn = np.random.default_rng(0).normal(0, 1.7, (4000, 5))
    held = [
        low < 1.7 < high for _, _, low, high in map(spread, drawn.std(axis=1, ddof=1), [4] * 4000)
    ]
    assert np.mean(held) == pytest.approx(0.9, abs=0.02)


def paired(differences):
    return [dict(differences), dict.fromkeys(differences, 0.0)]


@pytest.mark.parametrize("planned", [1, 2, 6])
@pytest.mark.parametrize("rows", [2, 5])
def test_the_spread_of_a_units_difference_is_that_of_as_many_seeds(rows, planned):
    rng = np.random.default_rng(3)
    truth = math.sqrt(2 * (4 + 1 / planned))
    held, variances = [], []
    for _ in range(300):
        units = rng.normal(0, 2.0, (rows, 6))
        shared = rng.normal(0, 5.0, (6, 2))
        drawn = [
            {(u, s): own[u] + shared[u, s] + rng.normal(0, 1.0) for u in range(6) for s in (0, 1)}
            for own in units
        ]
        found = difference_spread(drawn, planned)
        held.append(found.low < truth < found.high)
        variances.append(found.value**2)
    assert np.mean(variances) == pytest.approx(truth**2, rel=0.1)
    assert np.mean(held) == pytest.approx(0.9, abs=0.05)


def test_with_as_many_seeds_the_spread_is_that_of_the_units_means():
    drawn = {(0, 0): 1, (0, 1): 3, (1, 0): 5, (1, 1): 6, (2, 0): 9, (2, 1): 2}
    found = difference_spread(paired(drawn), 2)
    assert found.freedom == pytest.approx(2)
    assert found.value >= np.std([2, 5.5, 5.5], ddof=1)
    distant = {key: value + 10.0 * key[0] for key, value in drawn.items()}
    assert difference_spread(paired(distant), 2).value == pytest.approx(
        np.std([2, 15.5, 25.5], ddof=1)
    )
    first = {key: value for key, value in drawn.items() if key[1] == 0}
    single = difference_spread(paired(first), 2)
    assert single.value == pytest.approx(4.0) and single.freedom == 2
    one = difference_spread(paired({(0, s): float(s) for s in range(5)}), 9)
    assert one.value == pytest.approx(math.sqrt(2.5)) and one.freedom == 4
    with pytest.raises(ValueError, match="two rows"):
        difference_spread(paired({(0, 0): 1.0}), 2)


def test_more_rows_tell_more_and_units_of_other_sizes_count_alike():
    rng = np.random.default_rng(4)
    sizes = [1, 2, 5, 1, 2] * 40
    drawn = [
        {(u, s): own + rng.normal(0, 1.0) for u, size in enumerate(sizes) for s in range(size)
         for own in [own_of_unit[u]]}
        for own_of_unit in rng.normal(0, 1.0, (4, len(sizes)))
    ]  # fmt: skip
    found = difference_spread(drawn, 2)
    assert found.value == pytest.approx(math.sqrt(2 * 1.5), rel=0.1)
    assert found.freedom > 2 * difference_spread(drawn[:2], 2).freedom
