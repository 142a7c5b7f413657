"""Names to classes, and the tables and lists that are committed."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest
from dmlbench_icons.choosing.__main__ import LEAST_SETS
from dmlbench_icons.choosing.names import Names
from dmlbench_icons.dataset import read_classes
from dmlbench_icons.sets import SETS
from dmlbench_icons.split import family, halves

FOLDER = Path(__file__).parents[1]


@pytest.fixture
def tables(tmp_path):
    """Make `Names` of small tables."""

    def make(words="", merges="", excluded=""):
        for name, text in (("words", words), ("merges", merges), ("excluded", excluded)):
            (tmp_path / f"{name}.txt").write_text(text)
        return Names(tmp_path)

    return make


def test_order_of_words_does_not_matter_but_that_of_directions_does(tables):
    names = tables(words="plus: add\ncart: shopping-cart\n")
    assert names.key("add-shopping-cart") == names.key("cart-plus")
    assert names.key("arrow-up-down") != names.key("arrow-down-up")
    assert names.key("address") == "address"  # "add" is no word of it


def test_merged_and_excluded_names(tables):
    names = tables(merges="gear: cog b/wheel\n", excluded="[other]\nbox a/cog\n")
    drawings = ["a/l/gear", "a/l/cog", "b/l/cog", "b/l/wheel", "c/l/wheel", "c/l/box", "a/l/gears"]
    assert names.classes(drawings) == {
        "gear": ["a/l/gear", "b/l/cog", "b/l/wheel"],
        "wheel": ["c/l/wheel"],
        "gears": ["a/l/gears"],
    }
    assert names.unused() == []


def test_a_class_is_called_what_most_sets_call_it(tables):
    names = tables()
    drawings = ["a/l/circle-x", "a/f/circle-x", "b/l/x-circle", "c/l/x-circle"]
    assert [*names.classes(drawings)] == ["x-circle"]


def test_a_name_in_two_classes_is_an_error(tables):
    with pytest.raises(ValueError, match="cog is in gear and in wheel"):
        tables(merges="gear: cog\nwheel: cog\n")


def test_an_entry_that_names_nothing_is_told(tables):
    names = tables(merges="gear: cogg\n", excluded="[other]\nbxo\n")
    names.classes(["a/l/gear"])
    assert names.unused() == ["cogg", "bxo"]


def test_every_class_has_enough_drawings_of_enough_sets():
    classes = read_classes()
    drawings = [drawing for owned in classes.values() for drawing in owned]
    assert len(classes) >= 500 and len(drawings) >= 6000
    assert len(set(drawings)) == len(drawings)
    known = {icons.name for icons in SETS}
    for name, owned in classes.items():
        sets = {drawing.split("/")[0] for drawing in owned}
        assert len(sets) >= LEAST_SETS and sets <= known, name


def test_the_split_keeps_families_together_and_halves_the_classes():
    classes = read_classes()
    training, testing = halves(classes)
    assert sorted(training + testing) == sorted(classes)
    assert not {family(name) for name in training} & {family(name) for name in testing}
    assert abs(len(training) - len(testing)) <= 1
    # Other names on a side make another dataset.
    text = "\n".join(training) + "\n\n" + "\n".join(testing)
    assert hashlib.sha256(text.encode()).hexdigest() == SPLIT_SHA256


SPLIT_SHA256 = "6268b7749ac7b973283ff4b76921f319efc3d2c35962752befa841e2842d58e9"


def test_a_family_is_on_one_side_whatever_its_size():
    assert family("users") == family("user-plus") == "user"
    training, testing = halves(["a-1", "a-2", "a-3", "b", "c", "d"])
    assert {*training} in ({"a-1", "a-2", "a-3"}, {"b", "c", "d"})
    assert len(testing) == 3


def test_the_packages_of_the_sets_are_those_of_the_metadata():
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = dict(re.findall(r"^([\w-]+)==(\S+)$", "\n".join(project["dependencies"]), re.M))
    assert pinned.pop("resvg-py")
    assert pinned == {icons.distribution: icons.version for icons in SETS}


def test_the_licences_name_every_set():
    rows = (FOLDER / "LICENCES.md").read_text("utf-8").splitlines()
    for icons in SETS:
        (row,) = [row for row in rows if row.startswith(f"| {icons.name} |")]
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        package = f"{icons.distribution} {icons.version}"
        assert cells[1:4] == [icons.release, icons.licence, package]
