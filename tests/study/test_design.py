"""Designs that are accepted, and those that are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmlbench.errors import UsageError
from dmlbench.study.design import read_study

DESIGNS = sorted((Path(__file__).parents[2] / "docs" / "studies").glob("*.toml"))

SMALL = """
title = "Small"
question = "Is it?"
smallest = 1.0
seeds = 2
splits = [0, 1]
budget = 4
[datasets.glyphs]
dataset = "glyphs"
[rows.a]
losses = ["ms"]
[rows.b]
losses = ["triplet"]
[contrasts.lead]
question = "Is a better than b?"
of = ["a"]
over = ["b"]
"""


def read(tmp_path, text):
    path = tmp_path / "design.toml"
    path.write_text(text)
    return read_study(path)


@pytest.mark.parametrize("path", DESIGNS, ids=lambda path: path.stem)
def test_the_published_designs_can_be_read(path):
    assert read_study(path).contrasts


def test_a_design_says_every_trial(tmp_path):
    study = read(tmp_path, SMALL)
    assert study.keys("glyphs") == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert study.rows_of("glyphs") == ["a", "b"]


def test_replicates_are_numbered_from_the_first(tmp_path):
    numbered = 'dataset = "glyphs(seed={replicate})"\nreplicates = 2\nfirst = 21\nsplits = [0]'
    study = read(tmp_path, SMALL.replace('dataset = "glyphs"', numbered))
    assert study.keys("glyphs") == [(21, 0), (21, 1), (22, 0), (22, 1)]
    assert study.datasets["glyphs"].names()[22] == "glyphs(seed=22)"


def test_no_design_trains_on_the_replicates_of_another():
    named = ("combining", "headline", "pilot")
    used = [
        {name for design in study.datasets.values() for name in design.names().values()}
        for study in (read_study(path) for path in DESIGNS if path.stem in named)
    ]
    assert len(used) == 3 and len(set.union(*used)) == sum(map(len, used))


@pytest.mark.parametrize(
    "old, new, named",
    [
        ("smallest = 1.0", "", "smallest"),
        ("smallest = 1.0", "smallest = 1.0\nsmalest = 2", "smalest"),
        ('over = ["b"]', 'over = ["c"]', "'c'"),
        ('over = ["b"]', 'over = ["a"]', "both sides"),
        ('over = ["b"]', 'over = ["b", "b"]', "twice"),
        ('over = ["b"]', "over = []", "contrasts.lead.over"),
        ("splits = [0, 1]", "splits = [0, 0]", "splits"),
        ("seeds = 2", "seeds = 0", "seeds"),
        ("seeds = 2", 'seeds = "2"', "seeds"),
        ('losses = ["ms"]', 'losses = ["ms"]\ndatasets = ["icons"]', "icons"),
        ("title", "= title", "TOML"),
        ('dataset = "glyphs"', 'dataset = "glyphs(seed={replicate})"', "replicates"),
        ('dataset = "glyphs"', 'dataset = "glyphs"\nreplicates = 3', "replicates"),
        ('dataset = "glyphs"', 'dataset = "glyphs"\nfirst = 3', "first"),
        ('dataset = "glyphs"', 'dataset = "glyphs"\nsplits = [1, 1]', "splits"),
        (
            'losses = ["ms"]',
            'losses = ["ms"]\ndatasets = []\n[datasets.x]\ndataset = "x"\n'
            '[rows.c]\nlosses = ["nca"]\ndatasets = ["x"]\n[contrasts.apart]\nquestion = "?"\n'
            'of = ["c"]\nover = ["a"]\ndatasets = ["glyphs"]',
            "contrasts.apart",
        ),
    ],
)
def test_a_wrong_design_is_refused_by_name(tmp_path, old, new, named):
    with pytest.raises(UsageError) as error:
        read(tmp_path, SMALL.replace(old, new, 1))
    assert "design.toml" in str(error.value) and named in str(error.value)


def test_at_most_three_contrasts_are_primary(tmp_path):
    more = "".join(
        f'[contrasts.c{i}]\nquestion="?"\nof=["a"]\nover=["b"]\nprimary=true\n' for i in range(4)
    )
    with pytest.raises(UsageError, match="primary"):
        read(tmp_path, SMALL + more)


def test_a_design_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="none.toml"):
        read_study(tmp_path / "none.toml")


def test_replicates_are_units_with_a_dataset_of_their_own(tmp_path):
    text = SMALL.replace(
        'dataset = "glyphs"', 'dataset = "glyphs(seed={replicate})"\nreplicates = 3\nseeds = 1'
    )
    study = read(tmp_path, text)
    assert study.keys("glyphs") == [(1, 0), (2, 0), (3, 0)]
    assert study.datasets["glyphs"].names()[2] == "glyphs(seed=2)"


def test_the_hash_of_a_design_is_of_what_it_says(tmp_path):
    one = read(tmp_path, SMALL)
    assert read(tmp_path, "# a comment\n" + SMALL).sha256 == one.sha256
    assert read(tmp_path, SMALL.replace("smallest = 1.0", "smallest = 1.5")).sha256 != one.sha256
