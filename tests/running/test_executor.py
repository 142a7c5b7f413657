"""The local executor: jobs in order, whatever becomes known later, and every job ends once."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import deque

import pytest

from dmlbench.errors import TrialFailure
from dmlbench.running.executors import channel, fork_server, job, launchers, local
from dmlbench.running.executors.channel import JobEnd, RunEnd
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.executors.watchdog import Watchdog
from dmlbench.running.jobs import still_message
from dmlbench.training import heartbeat
from dmlbench.training.failures import own_work


class Growing:
    """Jobs that appear while others run; `next` may fail and succeed later."""

    def __init__(self, *jobs):
        self.jobs = deque(jobs)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.jobs:
            raise StopIteration
        return self.jobs.popleft()


@pytest.fixture
def spawned(monkeypatch):
    """Processes that are started from nothing, as on systems without a fork server."""
    monkeypatch.setattr(
        local, "launcher", lambda environment, prefix: launchers.Spawner(environment)
    )


BAD_JOB = {"kind": "prepare", "device": "cpu", "configuration": {}, "without": []}


def test_jobs_that_appear_together_go_to_every_idle_process():
    jobs = Growing(("a", BAD_JOB))
    with LocalExecutor(2, 1) as executor:
        done = []
        for event in executor.run(jobs):
            done.append((event.job, event.kind))
            if event.job == "a":
                jobs.jobs.extend([("b", BAD_JOB), ("c", BAD_JOB)])
    assert sorted(done) == [("a", "error"), ("b", "error"), ("c", "error")]


def test_processes_can_be_started_from_nothing(spawned):
    with LocalExecutor(1, 1) as executor:
        (event,) = executor.run([("a", BAD_JOB)])
    assert event.kind == "error" and "KeyError" in event.values["message"]


def test_a_killed_server_ends_its_jobs_and_the_next_ones_have_another():
    with LocalExecutor(1, 1) as executor:
        assert [event.kind for event in executor.run([("a", BAD_JOB)])] == ["error"]
        first = executor._launcher._process.pid
        os.kill(first, signal.SIGKILL)
        kinds = [event.kind for event in executor.run([("b", BAD_JOB), ("c", BAD_JOB)])]
        assert kinds in (["died", "error"], ["error", "error"])
        assert executor._launcher._process.pid != first


def test_when_the_time_is_up_jobs_are_ended_and_those_that_wait_are_not_begun(monkeypatch):
    """A job that ignores its end holds nobody up either."""
    begun = threading.Event()
    running = Growing(("a", BAD_JOB), ("b", BAD_JOB), ("c", BAD_JOB))
    with LocalExecutor(1, 1, until=time.monotonic() + 0.5) as executor:
        # Not told what to do, the process waits for ever.
        monkeypatch.setattr(RunEnd, "send", lambda end, message: begun.set())
        events = list(executor.run(running))
        assert begun.is_set() and not executor._running
    assert [(event.job, event.kind) for event in events] == [(name, "died") for name in "abc"]
    assert {event.values["message"] for event in events} == {
        "ended because the time limit had passed"
    }


def test_a_job_that_never_stops_talking_leaves_others_their_turn():
    class Talking:
        ended, stray = False, 0

        def receive(self):
            return []

        def close(self):
            self.ended = True

    with LocalExecutor(1, 1) as executor:
        executor._running["name"] = local._Running("job", Talking())
        assert list(executor._take_messages("name")) == []


def test_messages_of_another_job_and_of_none_are_counted_and_ignored():
    ours, theirs = socket.socketpair()
    end = RunEnd(ours, "mine")
    for line in (
        b"hello\n",
        b'{"job": "other", "event": "done"}\n',
        b'[]\n"text"\n',
        b'{"job": "mine"}\n',
        json.dumps({"job": "mine", "event": "alive"}).encode() + b"\n",
        b'{"job": "mine", "eve',
    ):
        theirs.sendall(line)
    assert end.receive() == [{"job": "mine", "event": "alive"}] and end.stray == 5
    theirs.close()
    assert end.receive() is None and end.ended and end.stray == 6
    end.close()


@pytest.mark.parametrize(
    "line",
    [
        b'{"job": "mine", "event": "done"}',
        b'{"job": "mine", "event": "done", "result": []}',
        b'{"job": "mine", "event": "error", "message": "why"}',
        b'{"job": "mine", "event": "error", "message": null, "exit_code": 1}',
        b'{"job": "mine", "event": "progress", "kind": "epoch_finished"}',
        b'{"job": "mine", "event": "alive", "stage": 3}',
        b"[" * 100_000,
        b'{"job": "mine", "event": ' + b"1" * 10_000 + b"}",
    ],
    ids=lambda line: line[:60].decode(),
)
def test_an_event_that_lacks_what_the_run_reads_is_counted_and_ignored(line):
    ours, theirs = socket.socketpair()
    end = RunEnd(ours, "mine")
    theirs.sendall(line + b'\n{"job": "mine", "event": "alive"}\n')
    received = []
    while not received:
        received += end.receive()
    assert [message["event"] for message in received] == ["alive"] and end.stray == 1
    theirs.close()
    end.close()


def test_a_line_that_comes_in_pieces_is_counted_once_and_not_kept_if_too_long(monkeypatch):
    ours, theirs = socket.socketpair()
    end = RunEnd(ours, "mine")
    monkeypatch.setattr(channel, "_LONGEST", 1 << 20)
    received = []
    for size in (1 << 19, 1 << 21):
        left = b"x" * size + b"\n"
        while left:
            left = left[theirs.send(left[: 1 << 12]) :]
            received += end.receive()
            assert len(end._started) <= (1 << 20) // (1 << 12) + 1
    theirs.sendall(b'{"job": "mine", "event": "alive"}\n')
    received += end.receive()
    assert [message["event"] for message in received] == ["alive"] and end.stray == 2
    assert end._started == []
    theirs.close()
    end.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), ValueError("closed")])
def test_a_log_that_cannot_be_written_hides_no_error(monkeypatch, error):
    class Full:
        def write(self, text):
            raise error

        def flush(self):
            raise error

    sent = []

    class Channel:
        def send(self, event, **values):
            sent.append((event, values["message"]))

    monkeypatch.setattr(heartbeat, "_listeners", [])
    monkeypatch.setattr(sys, "stderr", Full())
    job.Job(Channel(), {"kind": "trial"}).run()
    ((event, message),) = sent
    assert event == "error" and message.startswith("KeyError: ")
    with pytest.raises(TrialFailure, match="ZeroDivisionError"), own_work():
        1 / 0  # noqa: B018


def test_what_breaks_while_it_is_imported_early_is_named_and_stops_no_trial(
    monkeypatch, tmp_path, capsys
):
    (tmp_path / "broken_early.py").write_text("raise RuntimeError('wrong version')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fork_server, "PRELOADED", ("broken_early", "not_installed", "json"))
    fork_server.preload()
    assert (
        capsys.readouterr().err == "broken_early cannot be imported: RuntimeError: wrong version\n"
    )


def test_a_child_whose_error_cannot_be_printed_ends_all_the_same(monkeypatch):
    """Otherwise there would be two servers on one socket."""

    class Ended(BaseException):
        pass

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(os, "setsid", lambda: 1 / 0)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(sys, "excepthook", lambda *given: open("/nonexistent/full disk"))
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(Ended, match="1"):
        fork_server.Server(ours)._become_job(theirs.fileno())


def test_only_a_limit_that_would_hold_is_recommended():
    watchdog = Watchdog(limit=None, warn=10.0, clock=lambda: 0.0)
    watchdog.begin("a")
    assert watchdog.lacks_limit("a")
    watchdog.moved("a", "loading data", patient=True)
    assert not watchdog.lacks_limit("a")
    told = {"seconds": 700.0, "stage": "loading data", "lacks_limit": False}
    assert still_message("x", told) == "x has shown no progress for 12 min while loading data."
    told["lacks_limit"] = True
    assert still_message("x", told).endswith("--trial-timeout SECONDS would end such a trial.")
    limited = Watchdog(limit=5.0, warn=10.0, clock=lambda: 0.0)
    limited.begin("a")
    assert not limited.lacks_limit("a")


def test_what_a_job_forks_cannot_speak_for_it():
    ours, theirs = socket.socketpair()
    run = RunEnd(ours, "mine")
    run.send({})
    pid = os.fork()
    if pid == 0:
        ours.close()
        end = JobEnd(theirs.detach())
        end.receive_job()
        if os.fork() == 0:
            end.send("done")
            os._exit(0)
        os.wait()
        end.send("alive")
        os._exit(0)
    theirs.close()
    os.waitpid(pid, 0)
    assert [message["event"] for message in run.receive()] == ["alive"]
    run.close()


def test_the_watchdog_names_a_still_job_again_when_the_time_has_doubled():
    now = [0.0]
    watchdog = Watchdog(limit=100.0, warn=10.0, clock=lambda: now[0])
    watchdog.begin("a")
    watchdog.moved("a", "loading data", patient=True)
    spoken = []
    for second in range(1, 60):
        now[0] = float(second)
        spoken += [(second, overdue) for _, _, _, overdue in watchdog.still()]
    assert spoken == [(10, False), (20, False), (40, False)]
    now[0] = 500.0
    assert [overdue for *_, overdue in watchdog.still()] == [False], "no limit holds while loading"
    watchdog.moved("a", "after epoch 1", patient=False)
    assert watchdog.seconds_to_wait() == 10.0
    now[0] = 599.0
    assert [overdue for *_, overdue in watchdog.still()] == [False]
    now[0] = 600.0
    assert list(watchdog.still()) == [("a", 100.0, "after epoch 1", True)]
    watchdog.end("a")
    assert watchdog.seconds_to_wait() is None


def test_the_fork_server_is_single_threaded_and_knows_no_plugin(tmp_path):
    import subprocess
    import sys

    code = (
        "import os, sys; from dmlbench.running.executors.fork_server import preload; preload(); "
        "import torch; assert not torch.cuda.is_initialized(); "
        "print(len(os.listdir('/proc/self/task')), 'dmlbench_tiny' in sys.modules)"
    )
    for threads in ("1", "2"):
        environment = launchers.worker_environment(int(threads))
        found = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert found.stdout.split()[1:] == ["False"], found.stderr
        if threads == "1":
            assert found.stdout.split()[0] == "1"
