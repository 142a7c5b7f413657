"""docs/training.md: its tables are those of the packaged recipes and of the data benchmark."""

from __future__ import annotations

import json
import re
from pathlib import Path

from dmlbench.data.augmentations import AUGMENTATIONS
from dmlbench.plan.recipe import Recipe, load_recipe, recipe_names

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text("utf-8")


def rows(first):
    """The cells of the table whose header begins with `first`, a list for each row."""
    table = PAGE[PAGE.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    header, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return [header, *body]


def shown(value):
    if isinstance(value, list) and all(isinstance(step, dict) for step in value):
        return ", ".join(step["name"] for step in value) or "none"
    return json.dumps(value) if not isinstance(value, str) else value


def flat(table, prefix=""):
    for key, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        elif prefix + key not in ("name", "summary"):
            yield f"`{prefix}{key}`", shown(value)


def test_the_recipes_are_those_of_the_package():
    (_, *names), *body = rows("key")
    assert sorted(names[:-1]) == recipe_names() and names[-1] == "missing"
    recipes = [*map(load_recipe, names[:-1]), Recipe(name="missing")]
    for column, recipe in enumerate(recipes, 1):
        assert {row[0]: row[column] for row in body} == dict(flat(recipe.to_json()))


def test_every_augmentation_is_named():
    assert not [name for name in AUGMENTATIONS if f"`{name}(" not in PAGE]


def test_the_benchmark_of_the_cache_is_what_was_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "data.json").read_text("utf-8"))
    _, *body = rows("| images/s")
    rates = [int(row[1]) for row in body]
    ratios = [float(row[2]) for row in body if row[2]]
    assert rates == [round(rate) for rate in measured["images_a_second"].values()]
    expected = [measured["cache_is_faster"][f"loader, {n} workers"] for n in (0, 1, 2)]
    assert ratios == [round(ratio + 1e-9, 1) for ratio in expected]
    assert min(expected) >= 3
    filling = re.search(r"here at (\d+) images/s", PAGE)[1]
    assert int(filling) == round(measured["filling_the_cache_images_a_second"])
