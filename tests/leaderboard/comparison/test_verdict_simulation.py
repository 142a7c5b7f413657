"""benchmarks/verdict_simulation.py: the table in docs/statistics.md is what it prints."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_table_of_the_page_is_what_the_script_prints(monkeypatch, capsys):
    script = str(ROOT / "benchmarks" / "verdict_simulation.py")
    monkeypatch.setattr(sys, "argv", [script])
    runpy.run_path(script, run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    lines = (ROOT / "docs" / "statistics.md").read_text("utf-8").splitlines()
    begin = lines.index(printed[0])
    assert len(printed) == 5
    assert lines[begin : begin + len(printed)] == printed
