"""Progress of `dmlbench.run`: a bar in a notebook, lines elsewhere if they are asked for."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

import dmlbench
from dmlbench.hookspecs import TrialEvent
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.notebook import PAUSE, NotebookProgress, in_notebook
from dmlbench.running.planning import make_plan
from dmlbench.running.run_view import RunView


class Notebook:
    """What a notebook's output shows: every version of it, and how many outputs there are."""

    def __init__(self):
        self.shown, self.outputs = [], 0

    def display(self, bundle, raw=True, display_id=True):
        self.outputs += 1
        self.shown.append(bundle)
        return SimpleNamespace(update=lambda later, raw=True: self.shown.append(later))


@pytest.fixture
def notebook(monkeypatch):
    """A kernel, as IPython has it."""
    found = Notebook()
    shell = SimpleNamespace(kernel=object())
    display = SimpleNamespace(display=found.display)
    ipython = SimpleNamespace(get_ipython=lambda: shell, display=display)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return found


def test_a_kernel_is_a_notebook_and_a_terminal_is_not(notebook, monkeypatch):
    assert in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: SimpleNamespace())
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_one_output_is_updated_and_ends_with_all_trials_done(notebook, tiny, tmp_path, capfd):
    seen = []
    dmlbench.run("triplet", out=tmp_path, watch=seen.append, **tiny)
    assert notebook.outputs == 1 and len(notebook.shown) > 2
    first, last = notebook.shown[0], notebook.shown[-1]
    assert "0 of 2 trials done" in first["text/plain"]
    assert "triplet, seed" in first["text/plain"] and "epoch 0/2" in first["text/html"]
    assert last["text/plain"] == "2 of 2 trials done"
    done = [float(re.search(r'value="([\d.]+)"', one["text/html"])[1]) for one in notebook.shown]
    assert done == sorted(done) and done[-1] == 1.0
    assert sum(event.kind == "trial_finished" for event in seen) == 2, "watch is called too"
    assert "trials done" not in capfd.readouterr().err


@pytest.mark.parametrize("progress, lines", [(None, 0), (False, 0), (True, 2)])
def test_elsewhere_lines_are_written_if_they_are_asked_for(tiny, tmp_path, capfd, progress, lines):
    dmlbench.run("triplet", out=tmp_path, progress=progress, **tiny)
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err.count("trials done") == lines


def test_a_notebook_can_be_told_to_show_nothing(notebook, tiny, tmp_path):
    dmlbench.run("triplet", out=tmp_path, progress=False, **tiny)
    assert notebook.shown == []


def test_updates_are_apart_and_names_are_text(tmp_path):
    plan = make_plan(Request(losses=["triplet"], seeds=1, out=tmp_path), load_plugins())
    clock, shown = [0.0], []

    def display(bundle):
        shown.append(bundle)
        return shown.append

    bar = NotebookProgress(RunView(plan, False, lambda: clock[0]), display)

    def take(kind, **values):
        entry_id = plan.configurations[0].entry_id
        bar.take(TrialEvent(kind=kind, entry_id=entry_id, configuration="<b>x", split=0, seed=0,
                            values=values))  # fmt: skip

    take("trial_started", epoch=0, epochs=25)
    given = {"losses": [1.0], "weights": None, "learning_rate": 1e-3, "objective": 0.5}
    for epoch in range(1, 5):
        clock[0] += 0.6 * PAUSE
        take("epoch_finished", epoch=epoch, validation_map_at_r=0.25, **given)
    assert len(shown) == 3, "two of four epochs"
    assert (
        "&lt;b&gt;x, seed 0: epoch 4/25, loss 0.5000, validation MAP@R 25.0 %"
        in (shown[-1]["text/html"])
    )
    take("trial_failed", reason="NaN")
    assert "1 of 1 trials done, 1 failed" in shown[-1]["text/plain"]
