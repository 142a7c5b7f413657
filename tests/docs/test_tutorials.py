"""The code of the tutorials runs: the notebook from its first cell to its last, a package."""

from __future__ import annotations

import importlib
import json
import re
import runpy
from pathlib import Path

import notebooks
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorials" / "from-python.ipynb"
CELLS = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_the_notebook_runs_and_its_model_finds_the_class(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, code in enumerate(CODE):
        exec(compile(code, f"{NOTEBOOK.name}, code cell {number}", "exec"), names)
    assert [entry.combiner is not None for entry in names["entries"]] == [False, False, True]
    assert len(names["frame"]) == 3 and {"map_at_r", "recall_at_1"} <= set(names["frame"])
    assert names["embeddings"].shape == (16, 64)
    # Two classes of eight: a collapsed model, or one that guesses, is well below.
    assert names["found"].recall_at[1] > 0.8


def test_the_notebook_holds_no_outputs():
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in code] == [([], None)] * len(code)


def test_the_page_has_every_cell_in_its_order():
    page = notebooks.as_markdown(NOTEBOOK.read_text("utf-8"))
    assert page.startswith("# ") and page.count("```python\n") == len(CODE)
    positions = [page.index("".join(cell["source"])) for cell in CELLS]
    assert positions == sorted(positions)


TUTORIAL = NOTEBOOK.with_name("publish-a-loss.md").read_text("utf-8")
FILES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", TUTORIAL, re.DOTALL))


def test_the_package_of_the_tutorial_passes_its_tests(tmp_path, monkeypatch):
    for name, code in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    names = runpy.run_path(str(tmp_path / "tests" / "test_loss.py"))
    names["test_the_contract"]()
    names["test_the_value_is_that_of_the_formula"]()
    (spec,) = importlib.import_module("dmlbench_soft_margin.plugin").dmlbench_losses()
    loss = importlib.import_module("dmlbench_soft_margin.loss").SoftMarginLoss()
    assert spec.target == "dmlbench_soft_margin.loss:SoftMarginLoss"
    assert {name: getattr(loss, name) for name in spec.defaults} == dict(spec.defaults)
