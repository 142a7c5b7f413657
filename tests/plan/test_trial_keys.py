"""Which class splits and seeds a request means, and which an entry lacks."""

from __future__ import annotations

import itertools
import time

import pytest
from words import refused

from dmlbench.errors import UsageError
from dmlbench.plan.trial_keys import missing_trials, trial_keys


def test_every_split_has_every_seed_split_by_split():
    assert trial_keys(2, 2) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert trial_keys([3, 1], [5]) == [(3, 5), (1, 5)]


@pytest.mark.parametrize("splits", [0, -1, [1, 1], "2", 1.5, True, None, [10**7], 10**9])
def test_other_splits_are_refused(splits):
    with pytest.raises(UsageError, match="[Ss]plits"):
        trial_keys(splits, 1)


def test_too_many_trials_are_refused_before_they_are_listed():
    with refused(UsageError, "200", "100"):
        trial_keys(200, 100)


@pytest.mark.parametrize(
    ("keys", "missing"),
    [
        ([(0, 0), (0, 1), (1, 0), (1, 1)], []),
        ([(0, 1)], [(0, 0)]),
        ([(0, 0), (0, 1), (1, 0)], [(1, 1)]),
        ([(0, 0), (2, 0)], [(1, 0)]),
        ([(1, 0), (2, 0)], []),
        ([(3, 0)], [(1, 0), (2, 0)]),
    ],
)
def test_no_seed_or_random_split_may_be_left_out(keys, missing):
    assert list(missing_trials(keys)) == missing


def test_the_first_of_very_many_are_found_at_once():
    started = time.process_time()
    assert len(list(itertools.islice(missing_trials([(10**6, 10**6)]), 9))) == 9
    assert time.process_time() - started < 1
