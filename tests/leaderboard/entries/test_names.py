"""A row has one name, whoever asks for it."""

from __future__ import annotations

from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.entries.labels import Labels


def test_entry_labels_and_frame_agree_on_a_name(make_entry, make_component):
    twice = [make_component("triplet"), make_component("triplet"), make_component("supcon")]
    entry = make_entry(twice, combiner="wedl")
    assert entry.label == "wedl(2*triplet + supcon)"
    assert Labels([entry]).row(entry) == entry.label
    assert list(leaderboard_frame([entry])["name"]) == [entry.label]


def test_a_combiner_with_parameters_of_its_own_is_not_followed_by_two_brackets(
    make_entry, make_component
):
    fixed = [make_component("fixed", params={"weights": w}) for w in ([1, 2], [2, 1])]
    losses = [make_component("triplet"), make_component("supcon")]
    entries = [make_entry(losses, combiner=combiner) for combiner in fixed]
    names = set(leaderboard_frame(entries)["name"])
    assert names == {f"fixed(weights=[{w}]) of triplet + supcon" for w in ("1,2", "2,1")}
    assert names == {Labels(entries).row(entry) for entry in entries}
