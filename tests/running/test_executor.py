"""The local executor: jobs in order, whatever becomes known later, and no idle process."""

from __future__ import annotations

from collections import deque

from dmlbench.running.executors.local import LocalExecutor


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


class FakeWorker:
    """Stands in for a process: ends its job at once, through a pipe."""

    started = 0

    def __init__(self, threads):
        import os

        type(self).started += 1
        self.idle, self.job = True, None
        self.reader, self.writer = os.pipe()
        self.events = os.fdopen(self.reader, "rb", buffering=0)

    def start(self, job, message):
        import os

        self.job, self.idle = job, False
        os.write(self.writer, b"x")

    def read(self):
        from dmlbench.running.executors.local import Event

        self.events.read(1)
        yield Event(self.job, "done", {})

    def end(self):
        import os

        self.events.close()
        os.close(self.writer)


def test_jobs_that_appear_together_go_to_every_idle_process(monkeypatch):
    monkeypatch.setattr("dmlbench.running.executors.local._Worker", FakeWorker)
    FakeWorker.started = 0
    jobs = Growing(("a", {}))
    with LocalExecutor(2, 1) as executor:
        done = []
        for event in executor.run(jobs):
            done.append(event.job)
            if event.job == "a":
                jobs.jobs.extend([("b", {}), ("c", {})])
    assert sorted(done) == ["a", "b", "c"] and FakeWorker.started == 2
