"""Figures: files of every kind, refusals, and text that is drawn as it stands."""

from __future__ import annotations

import pytest
from words import refused

from dmlbench.errors import UsageError
from dmlbench.leaderboard.comparison.table import leaderboard_frame
from dmlbench.leaderboard.views.plot import plot_entry, plot_leaderboard

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture
def entries(make_entry):
    return [
        make_entry("triplet"),
        make_entry("triplet+ms", combiner="wedl", recall=[0.80, 0.81, 0.82]),
        make_entry("cost $^$ [red]", [0.4]),
        make_entry(dataset="other"),
        make_entry("broken", [], failed={0: "NaN"}),
    ]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "PNG"])
def test_leaderboard_in_every_file_type(entries, tmp_path, suffix):
    file = tmp_path / f"figure.{suffix}"
    plot_leaderboard(leaderboard_frame(entries), file)
    assert file.read_bytes().startswith(MAGIC[suffix.lower()])


def test_leaderboard_names_rows_and_metrics(entries, tmp_path):
    from matplotlib import rc_context

    file = tmp_path / "figure.svg"
    with rc_context({"svg.fonttype": "none"}):
        plot_leaderboard(leaderboard_frame(entries, "nmi"), file, "NMI")
    text = file.read_text()
    for part in ("wedl(triplet + ms)", "cost $^$ [red]", "NMI (%)", "Recall@1 (%)",
                 "combination of losses", "no interval"):  # fmt: skip
        assert part in text
    assert "broken" not in text


def test_equal_results_give_equal_files(entries, tmp_path):
    for name in ("a.svg", "b.svg"):
        plot_entry(entries[1], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_entry_draws_a_panel_a_quantity(make_entry, tmp_path):
    from matplotlib import rc_context

    failed = make_entry("triplet+ms", combiner="wedl", failed={5: "NaN"}, epochs=4)
    with rc_context({"svg.fonttype": "none"}):
        plot_entry(failed, tmp_path / "ensemble.svg")
        plot_entry(make_entry("triplet", [0.5]), tmp_path / "single.svg")
    text = (tmp_path / "ensemble.svg").read_text()
    for part in ("Training objective", "validation MAP@R (%)", "Weights of the losses", ">ms<"):
        assert part in text
    single = (tmp_path / "single.svg").read_text()
    assert "Training loss" in single and "Weights" not in single and "the only trial" in single


@pytest.mark.parametrize("name", ["figure.bmp", "figure", "figure.png.exe"])
def test_another_file_type_is_refused_naming_those_allowed(entries, tmp_path, name):
    for draw in (
        lambda: plot_leaderboard(leaderboard_frame(entries), tmp_path / name),
        lambda: plot_entry(entries[0], tmp_path / name),
    ):
        with pytest.raises(UsageError, match=r"must end in \.png, \.svg or \.pdf"):
            draw()
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_draw_is_said(make_entry, tmp_path):
    empty = make_entry(map_at_r=[], failed={0: "NaN"})
    with refused(UsageError):
        plot_leaderboard(leaderboard_frame([empty]), tmp_path / "figure.png")
    with refused(UsageError):
        plot_entry(empty, tmp_path / "figure.png")
    with refused(UsageError):
        plot_entry(make_entry(), tmp_path / "nowhere" / "figure.png")


def test_a_board_of_many_rows_goes_into_files_of_a_page(make_entry, tmp_path):
    from PIL import Image

    frame = leaderboard_frame([make_entry(f"loss-{i}") for i in range(100)])
    files = plot_leaderboard(frame, tmp_path / "board.png")
    assert [file.name for file in files] == ["board-1.png", "board-2.png", "board-3.png"]
    assert all(Image.open(file).size[1] < 4000 for file in files)
