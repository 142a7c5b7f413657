"""Curves as data, in words and as a table say the same as the history."""

from __future__ import annotations

import pytest

from dmlbench.leaderboard.site.training_course import charts, epoch_table


@pytest.fixture
def entry(make_entry):
    return make_entry("triplet+ms", [0.5, 0.6], combiner="wedl", epochs=4)


def test_charts_hold_every_seed_and_the_mean(entry):
    drawn = {chart["title"]: chart for chart in charts(entry)}
    assert list(drawn) == [
        "Training objective", "Held-out classes", "Weights of the losses", "triplet", "ms",
    ]  # fmt: skip
    histories = [trial.history for trial in entry.trials]
    line = drawn["ms"]["lines"][0]
    for seed, history in zip(line["trials"], histories, strict=True):
        assert seed["points"] == [[r.epoch, pytest.approx(r.losses[1], rel=1e-4)] for r in history]
    assert line["mean"][2] == [
        3, pytest.approx(sum(h[2].losses[1] for h in histories) / 2, rel=1e-4),
    ]  # fmt: skip
    assert [p[0] for p in drawn["Held-out classes"]["best"]] == [4, 4]
    weights = drawn["Weights of the losses"]
    assert weights["text"] == (
        "Weights of the losses (weight) over epochs 1 to 4, mean of 2 trials: "
        "triplet from 0.51 to 0.54; ms from 0.49 to 0.46."
    )


def test_the_table_has_a_row_an_epoch(entry):
    titles, rows = epoch_table(entry)
    assert titles[:3] == ["Epoch", "Training objective", "Held-out classes"]
    assert titles[3] == "Weights of the losses: triplet"
    assert [row[0] for row in rows] == ["1", "2", "3", "4"]
    mean = sum(trial.history[1].objective for trial in entry.trials) / 2
    assert float(rows[1][1]) == pytest.approx(mean, rel=1e-3)
    assert rows[1][3] == "0.52"


def test_without_a_history_there_is_nothing_to_draw(make_entry):
    failed = make_entry(map_at_r=[], failed={0: "NaN"})
    assert charts(failed) == [] and epoch_table(failed) == (["Epoch"], [])
