"""Two runs that write one leaderboard at once lose nothing."""

from __future__ import annotations

import json
import threading

import dmlbench
from dmlbench.plan.request import Request
from dmlbench.plugins.loading import load_plugins
from dmlbench.running import entries
from dmlbench.running.assemble import Origin
from dmlbench.running.planning import make_plan


def _entry(out):
    (file,) = out.glob("zsl-v2/tiny/*.json")
    return json.loads(file.read_text())


def test_a_slow_writer_does_not_undo_a_fast_one(tiny, tmp_path, monkeypatch):
    """The slow one has read the trials of seed 0; meanwhile the other finishes seed 1."""
    tiny["overrides"]["recipe.epochs"] = 1
    dmlbench.run(["ms"], out=tmp_path, **{**tiny, "seeds": 2})
    (late,) = tmp_path.glob(".trials/*/*/seed-1/result.json")
    text = late.read_text()
    late.unlink()
    next(tmp_path.glob("zsl-v2/tiny/*.json")).unlink()
    registry = load_plugins()
    request = Request(
        losses=["ms"],
        combiners=[],
        dataset="tiny",
        seeds=2,
        overrides=tiny["overrides"],
        out=tmp_path,
    )
    plan = make_plan(request, registry)
    reading, written = threading.Event(), threading.Event()
    assemble = entries.assemble_entry

    def slow(*arguments):
        reading.set()
        written.wait(2)
        return assemble(*arguments)

    monkeypatch.setattr(entries, "assemble_entry", slow)
    code = plan.trials[0].folder.code
    arguments = tmp_path, plan.configurations[0], code, registry, Origin()
    first = threading.Thread(target=entries.update_entry, args=arguments)
    first.start()
    assert reading.wait(10)
    late.write_text(text)
    monkeypatch.setattr(entries, "assemble_entry", assemble)
    second = threading.Thread(target=lambda: (entries.update_entry(*arguments), written.set()))
    second.start()
    first.join()
    second.join()
    assert [trial["seed"] for trial in _entry(tmp_path)["trials"]] == [0, 1]


def test_two_runs_at_once_with_other_seeds(tiny, tmp_path, fork_program):
    tiny["overrides"]["recipe.epochs"] = 1
    tiny["jobs"] = 1
    processes = [
        fork_program(
            f"import dmlbench; dmlbench.run(['ms'], out={str(tmp_path)!r}, "
            f"**{ {**tiny, 'seeds': seeds}!r})"
        )
        for seeds in ([0], [1])
    ]
    for process in processes:
        process.join(120)
    log = (tmp_path / "program.log").read_text()
    assert [process.exitcode for process in processes] == [0, 0], log
    files = list(tmp_path.glob("zsl-v2/tiny/*.json"))
    assert len(files) == 1
    for file in files:
        assert [t["seed"] for t in json.loads(file.read_text())["trials"]] == [0, 1]
