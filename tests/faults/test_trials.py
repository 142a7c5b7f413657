"""Trials that reached one another, blamed the wrong one, hung without a word or were lost."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

import dmlbench
from dmlbench.errors import DmlbenchError, TrialFailure, UsageError
from dmlbench.training.checkpoint import read_checkpoint

LOSS = """
from dmlbench.hookspecs import LossSpec, hookimpl

@hookimpl
def dmlbench_losses():
    return [LossSpec(name="odd", target="odd_code:Odd", summary="Misbehaves")]
"""


@pytest.fixture
def odd(install):
    """Install a loss whose module and `forward` begin as given; it then is `triplet`."""

    def add(forward: str = "pass", module: str = "") -> None:
        site = install("odd", LOSS)
        code = f"""
            import os, time
            import torch
            from dmlbench.losses.triplet import TripletLoss
            {module}
            class Odd(TripletLoss):
                def forward(self, embeddings, labels):
            """
        body = textwrap.indent(textwrap.dedent(forward), " " * 8)
        tail = "\n        return super().forward(embeddings, labels)\n"
        (site / "odd_code.py").write_text(textwrap.dedent(code).rstrip() + "\n" + body + tail)

    return add


@pytest.fixture
def short(tiny) -> dict:
    """Arguments of a run of a second."""
    tiny["overrides"]["recipe.epochs"] = 1
    return tiny


def _numbers(entry) -> list:
    return [(trial.metrics, trial.history) for trial in entry.trials]


def _run(losses: list[str], tiny: dict, out: Path, **changes):
    return dmlbench.run(losses, [], out=out, **{**tiny, "seeds": 1, **changes})


def test_row_01_a_trial_does_not_depend_on_its_company(short, odd, tmp_path) -> None:
    odd(module="torch.backends.mkldnn.enabled = False; torch.set_default_dtype(torch.float64)")
    (alone,) = _run(["triplet"], short, tmp_path / "alone")
    for jobs in (1, 2):
        _, beside = _run(["odd", "triplet"], short, tmp_path / f"{jobs}", jobs=jobs)
        assert _numbers(beside) == _numbers(alone)


@pytest.mark.parametrize(
    "error",
    [
        "OSError(28, 'No space left on device')",
        "OSError(24, 'Too many open files')",
        "MemoryError()",
        "torch.OutOfMemoryError('CUDA out of memory')",
        "RuntimeError('[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0')",
        "RuntimeError('PytorchStreamWriter failed writing file data/1: file write failed')",
        "RuntimeError('[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: "
        "can\\'t allocate memory: you tried to allocate 8 bytes. Error code 12')",
    ],
)
def test_row_02_what_the_machine_lacks_leaves_no_record(short, odd, tmp_path, error) -> None:
    odd(f"if not os.path.exists({str(tmp_path / 'room')!r}): raise {error}")
    with pytest.raises(TrialFailure, match="the machine failed it, not the configuration"):
        _run(["odd"], short, tmp_path / "out")
    assert not list(tmp_path.glob("out/zsl-v1/*/*.json"))
    (tmp_path / "room").touch()
    (entry,) = _run(["odd"], short, tmp_path / "out")
    assert entry.trials[0].status == "completed"


def test_row_02_a_full_disk_leaves_no_record(short, tmp_path) -> None:
    """A limit on the size of files stands for a disk without room for a checkpoint."""
    code = (
        f"import dmlbench; dmlbench.run(['ms'], out={str(tmp_path)!r}, **{ {**short, 'seeds': 1} })"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=limit
    )
    assert "File too large" in done.stderr and "TrialFailure" in done.stderr, done.stderr[-2000:]
    assert not list(tmp_path.glob("zsl-v1/*/*.json"))
    assert not list(tmp_path.glob(".trials/*/*/*/.*"))
    (entry,) = _run(["ms"], short, tmp_path)
    assert entry.trials[0].status == "completed"


@pytest.mark.parametrize(
    "error", ["ValueError('no')", "FileNotFoundError('mine')", "SystemExit(0)"]
)
def test_row_02_what_a_loss_raises_is_its_own_failure(short, odd, tmp_path, error) -> None:
    odd(f"raise {error}")
    (entry,) = _run(["odd"], short, tmp_path)
    assert entry.trials[0].status == "failed"
    assert error.partition("(")[0] in entry.trials[0].reason


def test_row_02_a_loss_that_ends_the_program_while_it_is_built_is_named(short, odd, tmp_path):
    odd(
        module="Base = TripletLoss\n            class TripletLoss(Base):\n"
        "                def __init__(self, **params): raise SystemExit(0)"
    )
    with pytest.raises(DmlbenchError, match="odd cannot be trained: SystemExit"):
        _run(["odd"], short, tmp_path)


@pytest.mark.parametrize("child", ["pass", "raise ValueError('in the child')"])
def test_row_03_what_a_loss_forks_speaks_for_nobody(short, odd, tmp_path, child) -> None:
    odd(f"if os.fork() == 0:\n    {child}")
    events = []
    entries = _run(["odd", "triplet"], short, tmp_path, jobs=1, watch=events.append)
    assert [entry.trials[0].status for entry in entries] == ["completed"] * 2
    assert [event.kind for event in events].count("trial_finished") == 2
    (alone,) = _run(["triplet"], short, tmp_path / "alone")
    assert _numbers(entries[0]) == _numbers(entries[1]) == _numbers(alone)


def test_row_03_a_trial_that_closes_what_is_not_its_own_ends(
    short, odd, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("dmlbench.running.executors.local._GRACE_SECONDS", 0.5)
    odd("os.closerange(3, 4096)")
    events = []
    with pytest.raises(TrialFailure, match="odd, seed 0: .*(channel|exit code)"):
        _run(["odd", "triplet"], short, tmp_path, jobs=1, watch=events.append)
    assert ("triplet", "trial_finished") in [(e.configuration, e.kind) for e in events]


@pytest.mark.parametrize("error", ["SystemExit(5)", "KeyboardInterrupt()", "GeneratorExit()"])
def test_row_20_a_listener_ends_no_run(short, install, tmp_path, error) -> None:
    install(
        "tracker",
        f"""
        from dmlbench.hookspecs import hookimpl

        @hookimpl
        def dmlbench_trial_event(event):
            raise {error}
        """,
    )
    from dmlbench.plan.request import Request
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.jobs import Resources
    from dmlbench.running.planning import make_plan
    from dmlbench.running.runner import execute_plan

    registry = load_plugins()
    request = Request(
        losses=["ms"], dataset="tiny", seeds=1, overrides=short["overrides"], out=tmp_path
    )
    outcome = execute_plan(make_plan(request, registry), registry, Resources(device="cpu"))
    assert len(outcome.entries) == 1
    assert all("listener of tracker" in warning for warning in outcome.warnings)
    assert outcome.warnings and error.partition("(")[0] in outcome.warnings[0]


def test_row_21_closed_streams_lose_no_event(short, tmp_path) -> None:
    sets = " ".join(f"--set {key}={value}" for key, value in short["overrides"].items())
    command = (
        f"{sys.executable} -m dmlbench run --losses ms --dataset tiny --seeds 1 --jobs 1 "
        f"--combiner none --device cpu --leaderboards {tmp_path} --json {sets} 0<&- 2>&-"
    )
    done = subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["rows"]) == 1


def test_row_23_a_trial_that_hangs_is_named_and_can_be_ended(
    short, odd, tmp_path, caplog, monkeypatch
) -> None:
    monkeypatch.setattr("dmlbench.running.executors.local.WARN_SECONDS", 1.0)
    odd("time.sleep(1000)")
    with pytest.raises(
        TrialFailure, match=r"odd, seed 0: .*no progress for \d+ s \(--trial-timeout\)"
    ):
        _run(["odd"], short, tmp_path, trial_timeout=8.0)
    assert "odd, seed 0, has shown no progress for" in caplog.text
    assert not list(tmp_path.glob("zsl-v1/*/*.json"))


def test_row_23_a_trial_that_waits_for_input_has_none(short, odd, tmp_path) -> None:
    odd("input('yes or no? ')")
    (entry,) = _run(["odd"], short, tmp_path)
    assert "EOFError" in entry.trials[0].reason


def test_row_24_a_folder_that_cannot_be_written_is_told_before_training(short, tmp_path) -> None:
    (tmp_path / "file").touch()
    events = []
    with pytest.raises(
        UsageError, match="file/out cannot be written: Not a dir.*with --leaderboards"
    ):
        _run(["ms"], short, tmp_path / "file" / "out", watch=events.append)
    assert events == []


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_row_25_a_damaged_checkpoint_is_set_aside(short, odd, tmp_path, damage) -> None:
    odd(f"if os.path.exists({str(tmp_path / 'stop')!r}): raise MemoryError")
    stopped = []

    def stop(event) -> None:
        if event.kind == "epoch_finished" and not stopped:
            (tmp_path / "stop").touch()
            stopped.append(True)

    short["overrides"]["recipe.epochs"] = 6
    with pytest.raises(TrialFailure):
        _run(["odd"], short, tmp_path / "out", watch=stop)
    (file,) = tmp_path.glob("out/.trials/*/*/*/checkpoint.pt")
    assert read_checkpoint(file)["progress"]["epoch"] >= 1
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    left = {"cut": content[:5000], "flipped": content, "empty": b"", "foreign": b"PK\x03\x04" * 99}
    file.write_bytes(left[damage])
    (tmp_path / "stop").unlink()
    events = []
    (entry,) = _run(["odd"], short, tmp_path / "out", watch=events.append)
    assert events[0].kind == "trial_started" and events[0].values["epoch"] == 0
    assert entry.trials[0].status == "completed"
    assert file.with_name("damaged-checkpoint.pt").read_bytes() == bytes(left[damage])


def _at_once(act, count: int) -> list:
    found: list = [None] * count

    def one(index: int) -> None:
        try:
            found[index] = act()
        except BaseException as error:
            found[index] = error

    threads = [threading.Thread(target=one, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_row_26_two_that_tune_at_once_share_their_work(short, tmp_path) -> None:
    from dmlbench.plan.request import Request, rows_of
    from dmlbench.plugins.loading import load_plugins
    from dmlbench.running.jobs import Resources
    from dmlbench.running.tune import tune
    from dmlbench.running.tuning_records import setting_of

    registry = load_plugins()
    request = Request(losses=["ms"], dataset="tiny", overrides=short["overrides"], out=tmp_path)
    (row,) = rows_of(request, registry)
    setting = setting_of(row.configuration, registry, row.fixed)
    resources = Resources(jobs=1, device="cpu")
    one, other = _at_once(lambda: tune([setting], registry, resources, tmp_path, budget=2), 2)
    assert one == other and len(one[0].trials) == 2


def test_row_44_two_equal_runs_at_once_both_end_with_everything(short, tmp_path) -> None:
    one, other = _at_once(lambda: _run(["ms", "triplet"], short, tmp_path, jobs=1), 2)
    assert one == other and [len(entry.trials) for entry in one] == [1, 1]


def test_row_47_ctrl_c_is_pressed_though_the_parent_ignores_it(on_a_terminal) -> None:
    """As behind `nohup`: a child inherits an ignored signal."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = "import time; print('ready', flush=True); time.sleep(60)"
        shown = on_a_terminal(
            [sys.executable, "-c", f"import sys; sys.stdout = sys.stderr; {code}"],
            stop=lambda seen: b"ready" in seen,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    assert b"KeyboardInterrupt" in shown.terminal and shown.code != 0


def test_two_that_reproduce_one_entry_at_once_do_not_share_a_folder(tmp_path) -> None:
    from dmlbench.running.reproduce import held

    with held(tmp_path / "scratch"):
        with pytest.raises(UsageError, match="Another process reproduces.*--scratch"):
            with held(tmp_path / "scratch"):
                pass
    with held(tmp_path / "scratch"):
        pass
