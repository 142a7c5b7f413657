"""The benchmark of a GPU: it runs, keeps what it measured, and goes on after a part that fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GPU = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_its_parts_run_on_a_cpu_and_one_that_fails_stops_no_other(tmp_path):
    command = [sys.executable, str(GPU), "--device", "cpu", "--tiny"]
    command += ["--parts", "evaluation,missing,losses", "--json", str(tmp_path / "found.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 1, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["failed"] == ["missing"] and found["card"] == "no GPU"
    names = [row["name"] for row in found["rows"]]
    assert "arcface 16x8x4: pml / ours" in names and "triplet 16x8x4 / product" in names
    differ = next(row for row in found["rows"] if "the CPU's numbers" in row["name"])
    assert differ["value"] < 1e-9
