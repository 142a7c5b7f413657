"""Rows on several class splits: intervals and ranks over splits, and what is compared with what."""

from __future__ import annotations

import json
import statistics

import pytest
import scipy.stats
from words import refused

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.compare import Located, compare
from dmlbench.leaderboard.comparison.groups import group_key
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.entries.entry import Entry
from dmlbench.leaderboard.entries.store import write_entry
from dmlbench.leaderboard.verification.checks import check_entry
from dmlbench.leaderboard.views.columns import group_title
from dmlbench.leaderboard.views.export import render_csv, render_json
from dmlbench.leaderboard.views.notes import notes
from dmlbench.plan.identity import sha256_of
from dmlbench.statistics.intervals import mean_interval

MS = [[0.60, 0.62, 0.61], [0.50, 0.53, 0.51], [0.71, 0.70, 0.69]]
TRIPLET = [[0.57, 0.58, 0.56], [0.46, 0.49, 0.47], [0.68, 0.65, 0.66]]


@pytest.fixture
def over_splits(make_entry):
    """Call with a loss and the values of each split; gives the entry."""

    def build(losses: str, values: list[list[float]], first: int = 0, **more) -> Entry:
        trials = []
        for split, of_split in enumerate(values, first):
            entry = make_entry(losses, of_split, **more)
            metadata = entry.model_dump()["dataset"]
            data = {key: value for key, value in metadata.items() if key.startswith("num_")}
            data |= {"fingerprint": sha256_of(["split", split]), "report": []}
            own = {"split": split, "data": data if split else None}
            trials += [trial.model_dump() | own for trial in entry.trials]
        return Entry.model_validate(entry.model_dump() | {"trials": trials})

    return build


def test_the_interval_of_a_row_is_over_the_means_of_its_splits(over_splits):
    frame = leaderboard_frame([over_splits("ms", MS), over_splits("triplet", TRIPLET)])
    best = frame.iloc[0]
    expected = mean_interval([statistics.fmean(of_split) for of_split in MS])
    found = (best["map_at_r"], best["map_at_r_low"], best["map_at_r_high"])
    assert found == pytest.approx(expected)
    assert (best["seeds"], best["splits"], best["rank_low"]) == (9, 3, 1)
    assert group_title(frame).endswith("· 3 class splits · 9 trials")
    assert "intervals and ranks are over the means of the 3 class splits" in notes(
        frame, "map_at_r"
    )
    assert ",splits," in render_csv(frame).splitlines()[0]
    assert json.loads(render_json(frame, []))["rows"][0]["splits"] == 3


def test_two_splits_give_no_rank_and_no_conclusion(over_splits, tmp_path):
    entries = [over_splits("ms", MS[:2]), over_splits("triplet", TRIPLET[:2])]
    assert [check_entry(entry) for entry in entries] == [[], []]
    frame = leaderboard_frame(entries)
    assert frame["rank_low"].isna().all() and frame["map_at_r_low"].notna().all()
    wanted = "no row is ranked (needs 5 trials, on one class split or on 3 or more)"
    assert any(wanted in line for line in notes(frame, "map_at_r"))
    (found,) = compare(*_located(tmp_path, entries))
    assert found.conclusion == "inconclusive"
    assert "Two common class splits (6 trials) are too few" in found.sentence
    assert "Run both with more class splits" in found.sentence


def test_tuned_rows_say_what_tuning_has_seen(over_splits):
    record = {
        "kind": "losses", "distribution": "dmlbench", "name": "ms", "setting_sha256": "a" * 64,
        "code_sha256": "b" * 64, "budget": 5, "seeds": [1000], "space": {}, "sampler": "none",
        "trials": [],
    }  # fmt: skip
    tuned = over_splits("ms", MS, tuning=[record])
    *_, line = notes(leaderboard_frame([tuned]), "map_at_r")
    assert "whose training classes are among the test classes of the others" in line
    *_, line = notes(leaderboard_frame([over_splits("ms", MS[:1], tuning=[record])]), "map_at_r")
    assert "tuned rows" not in line


def test_rows_compare_over_their_splits(over_splits, tmp_path):
    entries = [over_splits("ms", MS), over_splits("triplet", TRIPLET)]
    (found,) = compare(*_located(tmp_path, entries))
    means = [[statistics.fmean(of_split) for of_split in row] for row in (MS, TRIPLET)]
    assert found.seeds.p_value == pytest.approx(scipy.stats.ttest_rel(*means).pvalue)
    assert found.conclusion == "better" and not found.splits_differ
    assert "over 3 class splits (9 trials)" in found.sentence


def test_rows_on_other_splits_are_another_group_and_compare_on_common_ones(over_splits, tmp_path):
    both, own = over_splits("ms", MS), over_splits("triplet", TRIPLET[:1])
    random = over_splits("circle", MS[1:], first=1)
    assert len({group_key(entry) for entry in (both, own, random)}) == 3
    (found,) = compare(*_located(tmp_path / "one", [both, own]))
    expected = scipy.stats.ttest_rel(MS[0], TRIPLET[0])
    assert found.seeds.p_value == pytest.approx(expected.pvalue) and found.splits_differ
    assert "Only class split 0, which both have, is compared." in found.sentence
    (found,) = compare(*_located(tmp_path / "two", [both, random]))
    assert "Two common class splits (6 trials) are too few" in found.sentence
    (found,) = compare(*_located(tmp_path / "three", [own, random]))
    assert "ms" not in found.first and "have no trial in common" in found.sentence
    with refused(UsageError, "embedding_dim"):
        other = over_splits("triplet", TRIPLET, embedding_dim=32, recipe={"embedding_dim": 32})
        compare(*_located(tmp_path / "four", [both, other]))


def _located(folder, entries):
    first, *others = [Located(entry, write_entry(folder, entry).parent) for entry in entries]
    return first, others
