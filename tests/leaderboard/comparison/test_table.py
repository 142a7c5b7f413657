"""The frame: groups of rows that compare, ranks within them, and what the columns hold."""

from __future__ import annotations

import math

import pytest
import scipy.stats
from words import refused

import dmlbench
from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.entries.tuning import TuningRecord, TuningTrial

HIGH = [0.60, 0.61, 0.62, 0.61, 0.61]
MIDDLE = [0.57, 0.60, 0.63, 0.58, 0.62]
LOW = [0.30, 0.31, 0.32, 0.31, 0.31]


def test_a_row_by_hand(make_entry, make_component):
    loss = make_component("my-loss", distribution="their-dist", version="2.3")
    entry = make_entry([loss], HIGH[:4], overrides={"epochs": 4}, failed={4: "my-loss is NaN"})
    (row,) = leaderboard_frame([entry]).to_dict("records")
    # A failed trial counts as 0.
    half = scipy.stats.t.ppf(0.975, 4) * scipy.stats.sem([*HIGH[:4], 0.0])
    expected = {
        "entry_id": entry.entry_id,
        "rank_low": 1,
        "rank_high": 1,
        "position": 1,
        "tier": "checked",
        "losses": "my-loss [their-dist 2.3]",
        "combiner": None,
        "dataset": "glyphs",
        "backbone": "resnet-mini",
        "pretrained": False,
        "recipe": "quick(epochs=4)",
        "dim_budget": "total",
        "embedding_dim": 64,
        "seeds": 4,
        "failed": 1,
        "train_seconds": 12.0,
        "distributions": ["dmlbench 0.1.0", "their-dist 2.3"],
        "failures": ["seed 4 failed: my-loss is NaN"],
    }
    assert {key: row[key] for key in expected} == expected
    mean = sum(HIGH[:4]) / 5
    assert row["map_at_r"] == pytest.approx(mean)
    assert row["map_at_r_low"] == pytest.approx(mean - half)
    assert row["map_at_r_high"] == pytest.approx(mean + half)
    for metric in ("recall_at_1", "recall_at_8", "r_precision", "knn_accuracy", "nmi", "ami"):
        assert row[f"{metric}_low"] <= row[metric] <= row[f"{metric}_high"]


def test_ranks_tie_and_stay_within_a_group(make_entry):
    entries = [
        make_entry("a", HIGH),
        make_entry("b", MIDDLE),
        make_entry("c", LOW),
        make_entry("d", LOW, dataset="other"),
    ]
    frame = leaderboard_frame(reversed(entries))
    assert list(frame["losses"]) == ["a", "b", "c", "d"]
    assert list(frame["rank_low"]) == [1, 1, 3, 1] and list(frame["position"]) == [1, 2, 3, 1]
    assert list(frame["rank_high"]) == [2, 2, 3, 1]
    assert frame["group"].nunique() == 2


def test_a_row_of_four_trials_has_no_rank_and_is_listed_last(make_entry):
    entries = [make_entry("lucky", [0.9] * 4), make_entry("one", [0.95]), make_entry("sound", LOW)]
    frame = leaderboard_frame(entries)
    assert list(frame["losses"]) == ["sound", "one", "lucky"]
    assert list(frame["rank_low"].isna()) == [False, True, True]
    assert frame["rank_high"][0] == 1, "rows without a rank do not count against others"
    assert math.isnan(frame["map_at_r_low"][1])


def test_rows_are_listed_by_mean_whatever_their_noise(make_entry):
    wild = make_entry("wild", [0.65, 0.02, 0.66, 0.01, 0.31])
    rows = [make_entry("a", HIGH), wild, make_entry("c", LOW[::-1])]
    frame = leaderboard_frame(rows)
    assert list(frame["losses"]) == ["a", "wild", "c"]
    assert list(frame["rank_low"]) == [1, 1, 2] and list(frame["rank_high"]) == [2, 3, 3]
    # What a board of such rows could have told apart stands in every row of its group.
    # A wild row is not a typical one.
    assert frame["smallest_difference"].nunique() == 1 and 0 < frame["smallest_difference"][0] < 0.1


def test_a_row_whose_trials_all_failed_has_a_mean_of_zero(make_entry):
    failed = dict.fromkeys(range(5), "NaN")
    frame = leaderboard_frame([make_entry(map_at_r=[], failed=failed), make_entry("b", LOW)])
    assert (frame["seeds"][1], frame["failed"][1], frame["rank_low"][1]) == (0, 5, 2)
    assert frame["map_at_r"][1] == 0 and math.isnan(frame["train_seconds"][1])


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "other"},
        {"recipe": {"batch": {"classes": 8, "images": 2}}},
        {"embedding_dim": 128},
        {"ks": (1, 10)},
    ],
)
def test_what_keeps_rows_apart(make_entry, change):
    assert group_key(make_entry()) != group_key(make_entry("contrastive", **change))


def test_backbone_and_weights_keep_rows_apart(make_entry, make_component):
    entry = make_entry()
    numbers = {"num_parameters": 300_000, "num_features": 128}
    keys = {
        group_key(make_entry(backbone=make_component(name) | numbers | {"weights_sha256": weights}))
        for name in ("resnet-mini", "resnet18")
        for weights in (None, "a" * 64)
    }
    assert len(keys) == 4 and group_key(entry) in keys


def test_names_of_recipes_do_not_keep_rows_apart(make_entry):
    assert group_key(make_entry()) == group_key(make_entry("b", recipe={"name": "mine"}))


def test_seeds_losses_and_combiners_do_not_keep_rows_apart(make_entry):
    other = make_entry("a+b", [0.1], seeds=[9], combiner="wedl")
    assert group_key(make_entry()) == group_key(other)


def test_ranking_by_another_metric_turns_the_order(make_entry):
    better_map = make_entry("a", HIGH, recall=[0.70, 0.71, 0.72, 0.71, 0.71])
    better_recall = make_entry("b", LOW, recall=[0.80, 0.81, 0.82, 0.81, 0.81])
    entries = [better_map, better_recall]
    assert list(leaderboard_frame(entries)["losses"]) == ["a", "b"]
    for by in ("recall_at_1", "Recall@1", "R@1"):
        frame = leaderboard_frame(entries, by)
        assert list(frame["losses"]) == ["b", "a"] and list(frame["rank_low"]) == [1, 2]


def test_an_unknown_metric_is_refused_with_the_closest(make_entry):
    with pytest.raises(UsageError, match=r"no metric 'map_at_k'.*mean map_at_r.*recall_at_8"):
        leaderboard_frame([make_entry()], "map_at_k")


def test_a_label_says_what_is_not_the_default_whatever_rows_are_beside_it(
    make_entry, make_component
):
    usual = {"margin": None, "mining": "all", "squared": False, "mining_margin": None}
    first = make_entry([make_component("triplet", params={**usual, "margin": 0.1})])
    second = make_entry([make_component("triplet", params={**usual, "mining": "semi-hard"})])
    default = make_entry([make_component("triplet", params=usual)])
    wanted = {"triplet(margin=0.1)", "triplet(mining=semi-hard)", "triplet"}
    assert set(leaderboard_frame([first, second, default])["losses"]) == wanted
    alone = [leaderboard_frame([entry])["losses"][0] for entry in (first, second, default)]
    assert set(alone) == wanted


def test_the_fair_width_stands_first(make_entry):
    paper = make_entry("ms+triplet", combiner="wedl", dim_budget="per-loss", embedding_dim=128)
    frame = leaderboard_frame([paper, make_entry(), make_entry("ms", dataset="a")])
    assert list(zip(frame["dataset"], frame["dim_budget"], strict=True)) == [
        ("a", "total"), ("glyphs", "total"), ("glyphs", "per-loss"),
    ]  # fmt: skip


def test_every_parameter_is_in_columns(make_entry, make_component):
    losses = [make_component("triplet", params={"margin": 0.1}), make_component("ms")]
    entry = make_entry(losses, combiner="sum", recipe={"optimizer": {"head_lr": 0.01}})
    row = leaderboard_frame([entry]).iloc[0]
    assert row["loss_params"] == [
        {"name": "dmlbench:triplet", "params": {"margin": 0.1}},
        {"name": "dmlbench:ms", "params": {}},
    ]
    assert row["combiner_params"] == {"name": "dmlbench:sum", "params": {}}
    assert row["dataset_params"]["name"] == "dmlbench:glyphs"
    assert row["recipe_params"]["optimizer"] == {"head_lr": 0.01}
    assert row["tuned_params"] == {}


def test_tuned_values_are_in_a_column_and_not_in_the_label(make_entry, make_component):
    tried = {"losses[0].margin": 0.125, "recipe.optimizer.head_lr": 0.01}
    record = TuningRecord(
        kind="row", setting_sha256="0" * 64, code_sha256="0" * 64, budget=1, seeds=[0],
        space={key: {"low": 0.0, "high": 1.0} for key in tried}, sampler="random",
        trials=[TuningTrial(params=tried, validation_map_at_r=0.5, reason=None, train_seconds=1.0)],
    )  # fmt: skip
    loss = make_component("triplet", params={"margin": 0.125, "mining": "semi-hard"})
    entry = make_entry([loss], recipe={"optimizer": {"head_lr": 0.01}})
    row = leaderboard_frame([entry.model_copy(update={"tuning": [record]})]).iloc[0]
    assert row["losses"] == "triplet(mining=semi-hard)" and row["tuned_params"] == tried


def test_a_metric_that_a_seed_lacks_is_missing_for_the_row(make_entry):
    entry = make_entry(map_at_r=[0.5, 0.6])
    lacking = entry.trials[1].model_copy(
        update={"metrics": entry.trials[1].metrics.model_copy(update={"nmi": None})}
    )
    partial = entry.model_copy(update={"trials": [entry.trials[0], lacking]})
    assert math.isnan(leaderboard_frame([partial])["nmi"][0])
    assert leaderboard_frame([entry])["nmi"][0] == 0.6


def test_an_empty_leaderboard_has_the_columns():
    frame = leaderboard_frame([])
    assert len(frame) == 0
    assert {
        "entry_id",
        "rank_low",
        "rank_high",
        "recall_at_1",
        "recall_at_1_low",
        "map_at_r",
    } <= set(frame.columns)


def test_read_leaderboard_warns_of_what_it_leaves_out(make_entry, tmp_path):
    folder = write_entry(tmp_path, make_entry()).parent
    (folder / "bad.json").write_text("{")
    with pytest.warns(UserWarning, match=r"bad\.json is not valid JSON"):
        frame = dmlbench.read_leaderboard(folder)
    assert list(frame["losses"]) == ["triplet"]
    with refused(UsageError):
        dmlbench.read_leaderboard(tmp_path / "nowhere")


def test_read_leaderboard_takes_a_folder_at_any_level(make_entry, tmp_path):
    folder = write_entry(tmp_path, make_entry()).parent
    write_entry(tmp_path, make_entry(dataset="other"))
    assert len(dmlbench.read_leaderboard(folder)) == 1
    for above in (tmp_path, folder.parent):
        assert sorted(dmlbench.read_leaderboard(above)["dataset"]) == ["glyphs", "other"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="empty has no leaderboard"):
        dmlbench.read_leaderboard(tmp_path / "empty")
