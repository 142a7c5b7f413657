"""Orders of losses compared, and how far scores had come after a share of a budget."""

from __future__ import annotations

import hand_made
import numpy as np
import pytest
from scipy import stats

from dmlbench.leaderboard.entries.tuning import TuningRecord, TuningTrial
from dmlbench.study.order import orders, training_course, tuning_course

ROWS = ["a", "b", "c", "d"]


def trials(means, splits=(0,), noise=0.0):
    rng = np.random.default_rng(0)
    return {
        row: {(s, k): mean + noise * rng.normal() for s in splits for k in range(3)}
        for row, mean in zip(ROWS, means, strict=True)
    }


def test_the_same_and_the_opposite_order():
    same = orders(ROWS, {"x": trials([1, 2, 3, 4]), "y": trials([10, 20, 30, 40])}, {})
    assert [(one.what, one.tau) for one in same] == [("x and y", 1.0)]
    (opposite,) = orders(ROWS, {"x": trials([1, 2, 3, 4]), "y": trials([4, 3, 2, 1])}, {})
    assert opposite.tau == -1.0


def test_splits_are_compared_in_pairs():
    rows = trials([1, 2, 3, 4], splits=(0, 1, 2), noise=1.5)
    (found,) = orders(ROWS, {"x": rows}, {})
    means = [
        [np.mean([v for k, v in rows[r].items() if k[0] == s]) for r in ROWS] for s in (0, 1, 2)
    ]
    taus = [stats.kendalltau(means[i], means[j]).statistic for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.tau == pytest.approx(np.mean(taus)) and found.pairs == 3


def test_a_failed_trial_is_0_and_a_row_that_is_missing_is_left_out():
    other = trials([1, 2, 3, 4])
    other["d"] = dict.fromkeys(other["d"], None)
    (found,) = orders(ROWS, {"x": trials([1, 2, 3, 4]), "y": other}, {})
    assert found.tau == pytest.approx(stats.kendalltau([1, 2, 3, 4], [1, 2, 3, 0]).statistic)
    del other["d"]
    (found,) = orders(ROWS, {"x": trials([1, 2, 3, 4]), "y": other}, {})
    assert found.rows == 3


def test_two_rows_have_no_order_worth_comparing():
    assert orders(ROWS[:2], {"x": trials([1, 2, 3, 4]), "y": trials([1, 2, 3, 4])}, {}) == []


def test_the_course_of_a_training_is_the_best_so_far():
    entry = hand_made.make(epochs=8)
    course = training_course([entry])
    history = [[r.validation_map_at_r for r in trial.history] for trial in entry.trials]
    expected = [np.mean([max(h[:n]) for h in history]) for n in (2, 4, 6, 8)]
    assert course == pytest.approx(expected)


def test_the_course_of_tuning_is_the_best_so_far():
    tried = [
        TuningTrial(params={}, validation_map_at_r=v, reason=None, train_seconds=1.0)
        for v in (0.3, None, 0.2, 0.5)
    ]
    record = TuningRecord(
        kind="row", setting_sha256="0" * 64, code_sha256="0" * 64, budget=4, seeds=[1000],
        space={}, sampler="tpe", trials=tried,
    )  # fmt: skip
    entry = hand_made.make().model_copy(update={"tuning": [record]})
    assert tuning_course([entry], [1, 2, 4]) == [0.3, 0.3, 0.5]
    assert tuning_course([hand_made.make()], [1]) is None
