"""The figures show what the analysis found, and are written only where there is something."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import hand_made
import pytest
from matplotlib import rc_context

from dmlbench.errors import UsageError
from dmlbench.study.analysis import analyse
from dmlbench.study.boards import Found
from dmlbench.study.design import read_study
from dmlbench.study.figures import plot_findings

ROOT = Path(__file__).parents[2]


spec = importlib.util.spec_from_file_location(
    "study_simulation", ROOT / "benchmarks" / "study_simulation.py"
)
simulation = importlib.util.module_from_spec(spec)
spec.loader.exec_module(simulation)


@pytest.fixture(scope="module")
def study():
    return read_study(ROOT / "docs" / "studies" / "combining.toml")


def texts(study, found, folder):
    """The text of every SVG that is drawn, by name."""
    with rc_context({"svg.fonttype": "none"}):
        files = plot_findings(study, found, analyse(study, found.values), folder, ".svg")
    return {file.stem: file.read_text("utf-8") for file in files}


def test_a_whole_board_has_every_figure(study, tmp_path):
    rng = simulation.np.random.default_rng(0)
    values = simulation.simulated_values(study, {"wedl": 6.0}, 0.5, 1.0, rng)
    entry = hand_made.make(epochs=4)
    entries = {dataset: dict.fromkeys(rows, [entry]) for dataset, rows in values.items()}
    found = texts(study, Found(values, entries, []), tmp_path)
    assert set(found) == {"differences", "decomposition", "budgets", "orders"}
    answers = analyse(study, values).answers
    for one in answers:
        assert f"{one.name} ({one.dataset})" in found["differences"]
    assert found["differences"].count(">better<") == sum(a.answer == "better" for a in answers)
    for level in study.decompositions["lead"].levels[1:]:
        assert f"+ {level.what}" in found["decomposition"]
    assert "wedl-of-ms" in found["budgets"] and "no record" in found["budgets"]
    assert "units of glyphs" in found["orders"]


def test_equal_results_give_equal_files(study, tmp_path):
    rng = simulation.np.random.default_rng(0)
    found = Found(simulation.simulated_values(study, {}, 1.0, 1.0, rng), {}, [])
    assert texts(study, found, tmp_path) == texts(study, found, tmp_path)


def test_nothing_is_drawn_of_nothing(study, tmp_path):
    with pytest.raises(UsageError, match="nothing to draw"):
        texts(study, Found({}, {}, []), tmp_path)
    assert not list(tmp_path.iterdir())
