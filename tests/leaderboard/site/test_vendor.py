"""What is bundled is what it says it is, with its licence, and reaches an installed package."""

from __future__ import annotations

import hashlib
import re
import tomllib
from importlib import resources
from pathlib import Path

SITE = resources.files("dmlbench.leaderboard.site")


def test_every_library_is_the_one_named_with_its_licence():
    table = (SITE / "vendor" / "VENDOR.md").read_text("utf-8")
    named = dict(re.findall(r"^\| `([\w-]+\.js)` .*`([0-9a-f]{64})` \|$", table, re.MULTILINE))
    there = {file.name for file in (SITE / "vendor").iterdir() if file.name.endswith(".js")}
    assert set(named) == there and len(there) == 3
    for name, sha256 in named.items():
        assert hashlib.sha256((SITE / "vendor" / name).read_bytes()).hexdigest() == sha256
        licence = (SITE / "vendor" / f"{name.removesuffix('.js')}.LICENSE.txt").read_text("utf-8")
        assert "Permission" in licence and "Copyright" in licence


def test_our_own_files_name_no_address_and_read_no_markup():
    for part in ("assets", "templates"):
        for file in (SITE / part).iterdir():
            text = file.read_text("utf-8")
            assert not re.search(r"https?://", text), file.name
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|\|\s*safe\b", text
            ), file.name


def test_they_are_package_data():
    root = Path(__file__).parents[3] / "pyproject.toml"
    data = tomllib.loads(root.read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    patterns = data["dmlbench.leaderboard.site"]
    for part in ("assets", "templates", "vendor"):
        assert f"{part}/*" in patterns
