"""What a node of a cluster does for a run that is driven elsewhere.

A node runs a trial as the machine of a user does: by a `LocalExecutor`, whose processes, one that
trains and then one that tests, are forked from a clean one and confined where that is asked for.
The worker process of the cluster trains nothing; it passes on what is told, and files. Everything
here is independent of what the cluster is made with.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmlbench.data.cache import cache_dir
from dmlbench.running.executors.carried import (
    Changes,
    Files,
    files_left,
    write_files,
)
from dmlbench.running.executors.confinement import Confinement, confinement
from dmlbench.running.executors.events import Event
from dmlbench.running.executors.job import TRAINED
from dmlbench.running.executors.local import LocalExecutor
from dmlbench.running.executors.packages import Package, differences
from dmlbench.training.trial_folder import TrialFolder

_NOTES_SECONDS = 7 * 86_400
#: A checkpoint travels at the earliest after so many times what the last one took to be taken.
_PAUSE_FACTOR = 10.0


@dataclass(frozen=True)
class Told:
    """What a node tells of a job: an event, and the files that go with it.

    kind: as of `dmlbench.running.executors.events.Event`, or "began".
    log: what was added to the trial's log.
    """

    kind: str
    values: Mapping[str, Any]
    files: Files
    log: bytes = b""


@dataclass(frozen=True)
class Orders:
    """What holds for every job of a run.

    run: a name for the run; data are made ready once per node and run.
    node: the name that users know the node by.
    packages: those that the node must have.
    threads, time_limit: as of `LocalExecutor`. confine: whether to confine what trains.
    """

    run: str
    node: str
    packages: tuple[Package, ...]
    threads: int
    time_limit: float | None
    confine: bool


def make_ready(message: Mapping[str, Any], orders: Orders) -> Told:
    """Check the packages of this node, then carry out a job of kind "prepare".

    The result is that of the job, with ``node`` and ``confinement``: a `Confinement`, or None.
    """
    problems = differences(orders.packages)
    if problems:
        return _error(f"The node {orders.node} {'; '.join(problems)}.", exit_code=3)
    _forget_old_notes()
    told = _prepare(message, orders, again=True)
    if told.kind != "done":
        return told
    confined = _confinement() if orders.confine else None
    values = {**told.values["result"], "node": orders.node, "confinement": confined}
    return replace(told, values={"result": values})


def run_trial(
    message: Mapping[str, Any], files: Files, orders: Orders, gpu: str | None
) -> Iterator[Told]:
    """Train and test one trial, or train one for tuning, on this node.

    message: of kind "train" or "validation", as a local job gets it; its ``out`` is the driver's.
    files: to resume from. gpu: the value of CUDA_VISIBLE_DEVICES; None for the processor.
    The first thing told is where the trial runs, the last one an event that ends the job.
    """
    where = orders.node if gpu is None else f"{orders.node} GPU {gpu}"
    yield Told("began", {"place": where}, {})
    if problems := differences(orders.packages):
        yield _error(f"the node {orders.node} {'; '.join(problems)}")
        return
    told = _prepare({**message, "kind": "prepare", "device": "cpu"}, orders)
    if told.kind != "done":
        yield told
        return
    if message["fingerprint"] not in (None, told.values["result"]["fingerprint"]):
        yield _error(f"the node {orders.node} holds other data of the dataset than the first one")
        return
    out = worker_folder() / "trial"
    shutil.rmtree(out, ignore_errors=True)
    trial = message["entry_id"], message["code"], message["seed"], message["split"]
    folder = TrialFolder(out, *trial)
    folder.create()
    write_files(folder, files)
    device = {"device": "cpu"} if gpu is None else {"device": "cuda:0", "visible": gpu}
    try:
        yield from _told({**message, **device, "out": str(out)}, folder, orders)
    finally:
        shutil.rmtree(out, ignore_errors=True)


def _told(message: Mapping[str, Any], folder: TrialFolder, orders: Orders) -> Iterator[Told]:
    changes = Changes(folder)
    changes.checkpoints()  # those that came from the driver are not sent back
    next_files = 0.0
    for kind in (message["kind"], "test"):
        trained = False
        # To its end, with that of the process: what trains is gone when what tests begins.
        for event in _run({**message, "kind": kind}, orders):
            if event.kind == "done" and event.values["result"] == TRAINED:
                trained = True
                continue
            ends = event.kind not in ("progress", "still")
            due = ends or (_has_checkpoint(event) and time.monotonic() >= next_files)
            files = changes.checkpoints() if due else {}
            if event.kind == "done":
                files = files_left(folder)
            started = time.monotonic()
            yield Told(event.kind, event.values, files, changes.log())
            if files:  # the driver is never sent more than it has time to take
                taken = time.monotonic()
                next_files = taken + _PAUSE_FACTOR * (taken - started)
        if not trained:
            return


def _has_checkpoint(event: Event) -> bool:
    return event.values.get("kind") in ("epoch_finished", "refit_epoch_finished")


def _run(message: Mapping[str, Any], orders: Orders) -> Iterator[Event]:
    executor = _executor(orders.threads, orders.time_limit, orders.confine)
    yield from executor.run([(None, message)])


def _prepare(message: Mapping[str, Any], orders: Orders, again: bool = False) -> Told:
    """Carry out a job of kind "prepare", once per node for the same data unless `again`.

    The first one downloads, decodes or renders what is missing; the others wait for it.
    """
    configuration = message["configuration"]
    data = [configuration["dataset"], configuration["recipe"].get("input"), message["split"]]
    name = hashlib.sha256(json.dumps([orders.run, data], sort_keys=True).encode()).hexdigest()[:32]
    place = node_folder() / "ready"
    place.mkdir(parents=True, exist_ok=True)
    with open(place / f"{name}.json", "a+", encoding="utf-8") as note:
        fcntl.flock(note, fcntl.LOCK_EX)
        note.seek(0)
        found = note.read()
        if found and not again:
            return Told("done", {"result": json.loads(found)}, {})
        (event,) = (e for e in _run(message, orders) if e.kind not in ("progress", "still"))
        if event.kind == "done":
            note.truncate(0)
            note.write(json.dumps(event.values["result"]))
    values = dict(event.values)
    if "message" in values:
        values["message"] = f"On the node {orders.node}: {values['message']}"
    return Told(event.kind, values, {})


def _forget_old_notes() -> None:
    """Remove what runs noted that ended long ago."""
    for note in (node_folder() / "ready").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - note.stat().st_mtime > _NOTES_SECONDS:
                note.unlink()


def _error(message: str, exit_code: int = 1) -> Told:
    return Told("error", {"message": message, "exit_code": exit_code}, {})


def node_folder() -> Path:
    """What runs keep on a node, beside its cache."""
    return cache_dir() / "cluster"


@functools.cache
def worker_folder() -> Path:
    """A folder of this process, removed by another one once this one has ended, however that came.

    Locked for as long as the process lives, by a descriptor that nothing it starts inherits.
    """
    workers = node_folder() / "workers"
    workers.mkdir(parents=True, exist_ok=True)
    with open(workers / "lock", "w") as all_of_them:
        fcntl.flock(all_of_them, fcntl.LOCK_EX)
        for place in workers.glob("*.lock"):
            with open(place, "w") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(place.with_suffix(""), ignore_errors=True)
                place.unlink()
        folder = workers / uuid.uuid4().hex
        _held.append(open(f"{folder}.lock", "w"))  # noqa: SIM115 (closed with the process)
        fcntl.flock(_held[0], fcntl.LOCK_EX)
        folder.mkdir()
    return folder


_held: list[Any] = []


@functools.cache
def _confinement() -> Confinement:
    return confinement([worker_folder(), cache_dir()])


@functools.cache
def _executor(threads: int, time_limit: float | None, confine: bool) -> LocalExecutor:
    """The executor of this process; the clean process that it forks from serves all its trials."""
    return LocalExecutor(1, threads, time_limit, _confinement() if confine else None)
