"""The speed benchmark: what it writes, and the bounds on what it measures."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmlbench.losses import LOSSES

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="processes are bounded on Linux alone")
KEYS = {"loss", "batch", "dim", "per_class", "ours_ms", "pml_ms", "floor_ms"}
KEYS |= {"ours_peak_mb", "pml_peak_mb", "note"}


@pytest.fixture
def bounds(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import confined

    yield confined
    del sys.modules["confined"]


def run(*arguments):
    command = [sys.executable, str(BENCHMARKS / "losses.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.slow
@LINUX
def test_a_row_says_what_was_measured_and_why_not(tmp_path):
    losses = "contrastive,cross-entropy,nt-xent,cross-batch-memory,triplet+ms"
    done = run(
        "--losses",
        losses,
        "--sizes",
        "128x8x8",
        "--repeats",
        "3",
        "--seconds",
        "0.1",
        "--memory-limit",
        "0.15",
        "--json",
        str(tmp_path / "out.json"),
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert set(found) == {"machine", "date", "versions", "rows"}
    rows = {row["loss"]: row for row in found["rows"]}
    assert list(rows) == losses.split(",")
    for name, row in rows.items():
        assert set(row) == KEYS and (row["batch"], row["dim"], row["per_class"]) == (128, 8, 8)
        assert row["ours_ms"] > 0 and row["floor_ms"] > 0 and row["ours_peak_mb"] >= 0
        assert (row["pml_ms"] is None) == (row["note"] is not None)
        assert name in done.stdout
    assert rows["cross-entropy"]["note"] == "pytorch-metric-learning has none"
    assert "out of reach: it needs more than 0.15 GB" in rows["nt-xent"]["note"]
    assert rows["triplet+ms"]["pml_ms"] > 0


@pytest.mark.slow
def test_an_unknown_loss_is_named():
    done = run("--losses", "tripel", "--sizes", "8x8x4")
    assert done.returncode != 0 and "tripel" in done.stderr


def test_the_committed_measurements_cover_every_loss_at_every_size():
    rows = json.loads((BENCHMARKS / "results" / "losses.json").read_text())["rows"]
    sizes = {(row["batch"], row["dim"], row["per_class"]) for row in rows}
    assert sizes == {(128, 128, 4), (512, 128, 4), (1024, 512, 8)}
    measured = {(row["loss"], row["batch"]) for row in rows}
    assert measured >= {(spec.name, size[0]) for spec in LOSSES for size in sizes}
    assert all(set(row) == KEYS for row in rows)


@LINUX
def test_a_process_gives_its_result_or_says_what_was_exceeded(bounds):
    within = {"seconds": 20, "memory_bytes": 3e8}
    assert bounds.confined(lambda: {"a": [1.5]}, **within) == {"a": [1.5]}
    with pytest.raises(bounds.OutOfReach, match="needs more than 0.3 GB"):
        bounds.confined(lambda: len(bytearray(10**9)), **within)
    with pytest.raises(bounds.OutOfReach, match="takes more than 0.2 s"):
        bounds.confined(lambda: time.sleep(60), seconds=0.2, memory_bytes=3e8)
    with pytest.raises(bounds.OutOfReach, match="ended by a signal"):
        bounds.confined(os.abort, **within)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        bounds.confined(lambda: 1 / 0, **within)


@LINUX
def test_peak_memory_is_what_an_action_adds(bounds):
    def action():
        block = bytearray(b"1" * 50_000_000)
        del block

    peak = bounds.confined(lambda: bounds.peak_bytes(action), seconds=20, memory_bytes=1e9)
    assert 48e6 <= peak < 120e6  # the kernel counts pages in batches
