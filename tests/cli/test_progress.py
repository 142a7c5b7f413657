"""What is said while trials run: lines where there is no terminal, nothing if so wished."""

from __future__ import annotations

import pytest
from rich.console import Console

from dmlbench.cli.progress import watch_run
from dmlbench.hookspecs import TrialEvent
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running.planning import make_plan
from dmlbench.running.progress_lines import PAUSE, ProgressLines
from dmlbench.running.run_view import RunView, stage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def plan(tmp_path):
    return make_plan(Request(losses=["triplet"], seeds=2, out=tmp_path), load_plugins())


def event(plan, kind, seed=0, **values):
    entry_id = plan.configurations[0].entry_id
    return TrialEvent(
        kind=kind, entry_id=entry_id, configuration="triplet", split=0, seed=seed, values=values
    )


def told(plan, every_epoch=False, step=1.0):
    """The lines of a run whose epochs take `step` seconds each; the second trial fails."""
    clock, lines = Clock(), []
    view = ProgressLines(RunView(plan, False, clock), every_epoch, lines.append)
    for seed in (0, 1):
        view.take(event(plan, "trial_started", seed, epoch=0, epochs=25))
        for epoch in range(1, 26):
            clock.now += step
            score = 0.25 if epoch % 5 == 0 else None
            view.take(
                event(
                    plan, "epoch_finished", seed, epoch=epoch, objective=1 / epoch, losses=[1.0],
                    weights=None, validation_map_at_r=score, learning_rate=1e-3,
                )
            )  # fmt: skip
        if seed == 0:
            view.take(event(plan, "trial_finished", metrics={"map_at_r": 0.432}, seconds=25.0))
    view.take(event(plan, "trial_failed", 1, reason="NaN at step 3"))
    return lines


def test_a_line_for_each_trial_that_ends(plan):
    assert told(plan, step=0.5) == [
        "1 of 2 trials done, about 0:12 left; triplet, seed 0 finished: MAP@R 43.2 %",
        "2 of 2 trials done, 1 failed; triplet, seed 1 failed: NaN at step 3",
    ]


def test_a_line_every_half_minute_where_epochs_are_slow(plan):
    lines = told(plan, step=PAUSE / 3)
    between = [line for line in lines if " done" in line and ": epoch" in line]
    assert len(between) == 16 and between[0].endswith("; triplet, seed 0: epoch 3/25")
    assert "about 7:50 left" in between[0]


def test_where_trials_run_is_said_once_there_is_a_choice(plan):
    clock, lines = Clock(), []
    view = ProgressLines(RunView(plan, False, clock), write=lines.append)
    for seed, place in enumerate(("cuda:0", "cuda:1")):
        view.take(event(plan, "trial_started", seed, epoch=0, epochs=25, place=place))
    clock.now += 2 * PAUSE
    view.take(event(plan, "refit_started", 0, epoch=0, epochs=9))
    assert lines[0].endswith(
        "triplet, seed 0: epoch 0/9 on all classes on cuda:0; triplet, seed 1: epoch 0/25 on cuda:1"
    )
    console = Console(width=120)
    with console.capture() as shown:
        console.print(view.view)
    assert "Place" in shown.get() and "cuda:1" in shown.get()


def test_verbose_has_a_line_per_epoch(plan):
    lines = told(plan, every_epoch=True)
    assert len(lines) == 52
    assert lines[4] == "triplet, seed 0: epoch 5/25, objective 0.2000, validation MAP@R 25.0 %"
    assert lines[5] == "triplet, seed 0: epoch 6/25, objective 0.1667"


def test_quiet_is_quiet(plan, capsys):
    with watch_run(plan, verbosity=-1) as watch:
        assert watch is None
    with watch_run(plan) as watch:
        watch(event(plan, "trial_failed", reason="NaN"))
    assert "failed: NaN" in capsys.readouterr().err


def test_a_second_training_is_told_from_the_first(plan):
    lines, clock = [], Clock()
    view = RunView(plan, False, clock)
    writer = ProgressLines(view, every_epoch=True, write=lines.append)
    record = {"objective": 1.0, "weights": None, "validation_map_at_r": None}
    writer.take(event(plan, "trial_started", epoch=0, epochs=2))
    writer.take(event(plan, "epoch_finished", epoch=1, **record))
    writer.take(event(plan, "refit_started", epoch=0, epochs=1))
    writer.take(event(plan, "refit_epoch_finished", epoch=1, **record))
    assert "epoch 1/" in lines[0] and "all classes" not in lines[0]
    assert "on all classes, epoch 1/1" in lines[1]
    assert stage(next(iter(view.running.values())), 2) == "1/1 on all classes"
