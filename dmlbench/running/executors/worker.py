"""A worker process: reads jobs as JSON lines on stdin, writes events as JSON lines on stdout.

Started by `dmlbench.running.executors.local`. What a trial prints goes to its log file, never to
stdout. When stdin ends, the parent is gone, and the worker ends at once: every finished epoch is on
disk.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dmlbench.errors import DmlbenchError, UsageError
from dmlbench.plan.config import Configuration, canonical_json, configuration_from_json
from dmlbench.plugins.loading import load_plugins
from dmlbench.training.trial_folder import TrialFolder


class Worker:
    """Carries out jobs one after the other, keeping the last dataset for the next one."""

    def __init__(self, events: Any) -> None:
        self.events = events
        self.datasets: dict[str, Any] = {}
        self.registries: dict[tuple[str, ...], Any] = {}

    def send(self, event: str, **values: Any) -> None:
        self.events.write(json.dumps({"event": event, **values}) + "\n")
        self.events.flush()

    def carry_out(self, job: Mapping[str, Any]) -> None:
        """Run one job and send exactly one of "done" and "error" at its end."""
        try:
            if job["kind"] == "prepare":
                self.send("done", result=self._prepare(job))
            else:
                self.send("done", result=self._trial(job))
        except DmlbenchError as error:
            self.send("error", message=str(error), exit_code=error.exit_code)
        except Exception as error:
            traceback.print_exc()
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            self.send("error", message=what, exit_code=1)

    def _registry(self, without: list[str]) -> Any:
        key = tuple(without)
        if key not in self.registries:
            self.registries[key] = load_plugins(without)
        return self.registries[key]

    def _prepare(self, job: Mapping[str, Any]) -> dict[str, Any]:
        from dmlbench.evaluate.clustering import obstacles
        from dmlbench.training.readiness import check_blaming, loading

        device = _device(job["device"])
        configuration = configuration_from_json(job["configuration"])
        registry = self._registry(job["without"])
        with loading(configuration):
            dataset = self._dataset(configuration, registry)
        check_blaming(configuration, registry, dataset)
        report = [*dataset.report, *(obstacles() if job["clustering"] else ())]
        return {"report": report, "device": device}

    def _trial(self, job: Mapping[str, Any]) -> dict[str, Any]:
        configuration = configuration_from_json(job["configuration"])
        registry = self._registry(job["without"])
        folder = TrialFolder(Path(job["out"]), job["entry_id"], job["code"], job["seed"])
        folder.create()
        with _output_to(folder.log_file):
            import torch

            from dmlbench.training.trial import run_trial, run_validation

            torch.set_num_threads(job["threads"])
            arguments = (
                configuration,
                job["seed"],
                registry,
                self._dataset(configuration, registry),
                folder,
                torch.device(_device(job["device"])),
                lambda kind, values: self.send("progress", kind=kind, values=dict(values)),
            )
            if job["kind"] == "validation":
                return run_validation(*arguments)
            return run_trial(*arguments, cluster=job["clustering"])

    def _dataset(self, configuration: Configuration, registry: Any) -> Any:
        from dmlbench.training.trial import load_data

        key = canonical_json([configuration.dataset.to_json(), configuration.recipe.input.resize])
        if key not in self.datasets:
            # One at a time: datasets in memory must not add up.
            self.datasets = {key: load_data(configuration, registry)}
        return self.datasets[key]


def _device(name: str) -> str:
    """The device that "auto" means here. Raises `UsageError` for one that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"--device {name} cannot be used here: {error}. Try cpu.") from error
    return name


class _output_to:
    """Send the file descriptors of stdout and stderr to a log file for a while."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        self.saved = [os.dup(1), os.dup(2)]
        with open(self.path, "ab") as log:
            for descriptor in (1, 2):
                os.dup2(log.fileno(), descriptor)

    def __exit__(self, *exception: Any) -> None:
        if exception[0] is not None:
            traceback.print_exception(*exception)
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in zip((1, 2), self.saved, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)


def main() -> None:
    """Serve jobs until stdin ends."""
    # Events keep a descriptor of their own, so that nothing printed can get between them.
    events = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    jobs: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            jobs.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    worker = Worker(events)
    while True:
        worker.carry_out(json.loads(jobs.get()))


if __name__ == "__main__":
    main()
