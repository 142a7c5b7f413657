"""The map of test embeddings: what is near, what is written on it, and which trial it shows."""

from __future__ import annotations

import numpy as np
import pytest
from made_board import embeddings_file
from matplotlib import rc_context

from dmlbench.cli import main
from dmlbench.errors import UsageError, VerificationError
from dmlbench.leaderboard.comparison.classes import class_table
from dmlbench.leaderboard.entries.store import read_entries
from dmlbench.leaderboard.views import embedding_map
from dmlbench.leaderboard.views.classes import ClassNames
from dmlbench.leaderboard.views.embedding_map import plot_map, tsne

NAMES = [f"name {number}" for number in range(12)]


def svg(entry, board, file):
    with rc_context({"svg.fonttype": "none"}):
        plot_map(entry, board, file, ClassNames(NAMES))
    return file.read_text("utf-8")


def groups_apart(places, groups):
    """Whether the nearest of every place is of its group."""
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    np.fill_diagonal(distances, np.inf)
    return np.array_equal(groups[distances.argmin(axis=1)], groups)


def test_near_embeddings_are_near_on_the_map_by_the_similarity_of_the_protocol():
    generator = np.random.default_rng(0)
    directions, groups = np.eye(8)[:3], np.repeat(np.arange(3), 20)
    rows = directions[groups] + generator.normal(scale=0.02, size=(60, 8))
    rows *= np.tile([1.0, 30.0], 30)[:, None]
    assert groups_apart(tsne(rows, "cosine"), groups)
    # By distance the short ones of all groups are near one another.
    assert groups_apart(tsne(rows, "euclidean"), np.where(np.tile([1, 0], 30), 9, groups))
    np.testing.assert_array_equal(tsne(rows, "cosine"), tsne(rows, "cosine"))


def test_few_classes_have_a_colour_each_and_a_legend(board, tmp_path):
    text = svg(read_entries(board)[0][0], board, tmp_path / "map.svg")
    assert "24 test images of seed 0" in text
    assert all(f"name {number}<" in text for number in range(6, 12))


def test_of_many_classes_the_best_and_worst_are_named_with_their_score(
    board, tmp_path, monkeypatch
):
    monkeypatch.setattr(embedding_map, "COLOURS", embedding_map.COLOURS[:4])
    monkeypatch.setattr(embedding_map, "_NAMED", 2)
    entry = read_entries(board)[0][0]
    text = svg(entry, board, tmp_path / "map.svg")
    classes = class_table(entry, board, entry.trials[:1]).classes
    for one in (*classes[:2], *classes[-2:]):
        assert f"name {one.number} {100 * one.map_at_r:.0f} %" in text
    for one in classes[2:-2]:
        assert f"name {one.number}" not in text


def test_of_many_images_some_are_drawn_and_it_is_said(board, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_map, "MOST_POINTS", 10)
    entry = read_entries(board)[0][0]
    text = svg(entry, board, tmp_path / "map.svg")
    assert "10 of 24 test images of seed 0, t-SNE (perplexity 3)" in text
    assert text == svg(entry, board, tmp_path / "again.svg"), "seeded"


def test_the_first_trial_with_stored_embeddings_is_drawn_and_named(board, tmp_path, capsys):
    entry = read_entries(board)[0][0]
    embeddings_file(board, entry, 0).unlink()
    file = tmp_path / "map.png"
    given = ["info", entry.entry_id, "--leaderboards", str(board.parent.parent)]
    with pytest.raises(SystemExit) as stop:
        main([*given, "--map", str(file)])
    captured = capsys.readouterr()
    assert (stop.value.code, captured.out) == (0, "") and "of seed 1" in captured.err
    assert file.read_bytes().startswith(b"\x89PNG")
    embeddings_file(board, entry, 1).unlink()
    with pytest.raises(VerificationError, match="No test embeddings of entry"):
        plot_map(entry, board, file, ClassNames([]))


def test_what_cannot_be_drawn_is_refused(board, tmp_path, monkeypatch):
    entry = read_entries(board)[0][0]
    with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf"):
        plot_map(entry, board, tmp_path / "map.html", ClassNames([]))
    monkeypatch.setattr(embedding_map, "MOST_POINTS", 3)
    with pytest.raises(UsageError, match="3 test images give no map"):
        plot_map(entry, board, tmp_path / "map.png", ClassNames([]))
