"""Class-disjoint splits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from words import refused

from dmlbench.data.images import DatasetError
from dmlbench.data.split import half_and_half, hold_out_classes


def test_the_first_half_trains_and_an_odd_class_goes_to_training():
    train, test = half_and_half(f"{i:02d}" for i in range(37))
    assert (len(train), len(test)) == (19, 18)
    assert train[-1] == "18" and test[0] == "19"


def test_halves_go_by_code_point_and_not_by_the_order_given():
    assert half_and_half(["b", "é", "Z", "a", "a"]) == (("Z", "a"), ("b", "é"))


@given(
    sizes=st.lists(st.integers(1, 4), min_size=4, max_size=30),
    fraction=st.floats(0.01, 0.99),
    seed=st.integers(0, 1000),
)
def test_held_out_classes_are_disjoint_and_both_sides_have_pairs(sizes, fraction, seed):
    sizes = [2, 2, 3, 2, *sizes]
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    train, held_out = hold_out_classes(labels, fraction, seed)
    assert train.dtype == held_out.dtype == np.int64
    assert sorted([*train, *held_out]) == list(range(len(labels)))
    assert not set(labels[train]) & set(labels[held_out])
    for side in (train, held_out):
        assert np.all(np.diff(side) > 0)
        assert (np.unique(labels[side], return_counts=True)[1] >= 2).sum() >= 2
    again = hold_out_classes(labels, fraction, seed)
    assert np.array_equal(train, again[0]) and np.array_equal(held_out, again[1])


def test_the_share_of_classes_is_the_fraction_and_the_seed_decides_which():
    labels = np.repeat(np.arange(100), 3)
    sides = [hold_out_classes(labels, 0.25, seed)[1] for seed in range(4)]
    assert all(len(np.unique(labels[side])) == 25 for side in sides)
    assert len({tuple(side) for side in sides}) == 4


def test_labels_need_not_start_at_zero_nor_be_without_gaps():
    labels = np.repeat([7, 100, 3, 42], 2)
    train, held_out = hold_out_classes(labels, 0.5, 0)
    assert len(train) == len(held_out) == 4


def test_too_few_classes_with_two_images():
    with refused(DatasetError, "4", "3"):
        hold_out_classes(np.array([0, 0, 1, 1, 2, 2, 3, 4, 5]), 0.2, 0)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_that_is_no_share(fraction):
    with pytest.raises(DatasetError, match="between 0 and 1"):
        hold_out_classes(np.repeat(np.arange(9), 2), fraction, 0)
