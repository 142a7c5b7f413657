"""The interval over classes holds the truth as often as docs/commands/evaluate.md says."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def simulation():
    path = ROOT / "benchmarks" / "interval_simulation.py"
    spec = importlib.util.spec_from_file_location("interval_simulation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_classes_are_drawn_whole_because_queries_are_not_independent(simulation):
    found = simulation.coverage(20, 150)
    assert found.classes > 0.88 and found.queries < 0.7


def test_the_page_has_a_row_for_each_number_of_classes(simulation):
    page = (ROOT / "docs" / "commands" / "evaluate.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert [int(count) for count, _, _ in rows] == list(simulation.CLASSES)
    shares = [float(share) for _, share, _ in rows]
    assert 80 < shares[0] < shares[-1] and 93 < shares[-1] <= 97
