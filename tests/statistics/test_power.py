"""Power and variance components against simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dmlbench.statistics.power import power, smallest_seen, variance_components


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
