"""What the process of a job does: it receives one job, tells how it goes, and ends.

Forked from `dmlbench.running.executors.fork_server`, or started as a program of its own. What a
trial prints goes to its log file. Every finished epoch is on disk, so the process may end anywhere.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from dmlbench.errors import DmlbenchError
from dmlbench.plan.config import Configuration, configuration_from_json
from dmlbench.plugins.loading import LateRegistry, load_plugins, other_distributions
from dmlbench.running.executors.channel import JobEnd
from dmlbench.running.executors.descriptors import open_standard_streams, redirect
from dmlbench.running.executors.devices import found_device, found_devices, keep_only
from dmlbench.training import heartbeat
from dmlbench.training.failures import (
    MachineTrouble,
    described,
    log_traceback,
    what_the_machine_lacked,
)
from dmlbench.training.trial_folder import TrialFolder, TrialLocked

if TYPE_CHECKING:
    from dmlbench.training.data_source import DataSource

_BEAT_SECONDS = 1.0

#: The result of a training that has ended well: the trial is ready to be tested.
TRAINED: dict[str, Any] = {"trained": True}


def serve(descriptor: int, watched: bool = False) -> NoReturn:
    """Carry out the job that comes over a channel and end this process.

    watched: by a thread that ends it where the run has gone, for systems that cannot see to that.
    """
    channel = JobEnd(descriptor)
    try:
        message = channel.receive_job()
    except EOFError:
        os._exit(0)
    if watched:
        threading.Thread(target=_end_with_run, args=(channel,), daemon=True).start()
    Job(channel, message).run()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass  # a full disk: the log's last words are no reason to fail
    # Whatever a plugin left to be done at the end of a program is not part of a trial.
    os._exit(0)


def _end_with_run(channel: JobEnd) -> None:
    channel.wait_for_end()
    os._exit(1)


class Job:
    """One job: data and components made ready, a trial's training, its test, or a tuning trial.

    Training and test are jobs of their own, each with its process: what code of plugins changed in
    the one that trained, in Python, its libraries or this package, the one that tests has not seen.
    """

    def __init__(self, channel: JobEnd, message: Mapping[str, Any]) -> None:
        self.channel, self.message = channel, message
        self.told = time.monotonic()

    def run(self) -> None:
        """Do it, and send exactly one of "done" and "error" at its end."""
        heartbeat.listen(self._beat)
        try:
            if self.message["kind"] == "prepare":
                result = self._prepare()
            else:
                result = self._trial()
        except TrialLocked as error:
            self.channel.send("error", message=str(error), exit_code=error.exit_code, locked=True)
        except DmlbenchError as error:
            self.channel.send("error", message=str(error), exit_code=error.exit_code)
        except BaseException as error:
            # SystemExit and its like too: no plugin ends a trial without a word.
            lacked = what_the_machine_lacked(error)
            what = f"{type(error).__name__}: {' '.join(str(error).split())}"
            message = str(MachineTrouble(lacked)) if lacked else what
            self.channel.send("error", message=message, exit_code=1)
            log_traceback()
        else:
            self.channel.send("done", result=result)

    def _beat(self, stage: str | None, patient: bool | None) -> None:
        self.channel.end_if_forked()
        now = time.monotonic()
        if stage is not None:
            self.channel.send("alive", stage=stage, patient=patient)
        elif now - self.told > _BEAT_SECONDS:
            self.channel.send("alive")
        else:
            return
        self.told = now

    def _emit(self, kind: str, values: Mapping[str, Any]) -> None:
        waiting = bool(values.get("waiting"))
        self.channel.send(
            "progress",
            kind=kind,
            values=dict(values),
            stage=_stage(kind, values),
            patient=waiting,
        )
        if kind == "epoch_finished":
            with contextlib.suppress(OSError):  # a full disk: the log is no reason to fail
                print(_log_line(values), flush=True)

    def _prepare(self) -> dict[str, Any]:
        from dmlbench.evaluate.clustering import obstacles
        from dmlbench.training.readiness import check_buildable, dataset_errors

        job = self.message
        devices = found_devices(job["device"])
        configuration, registry = self._configuration(), load_plugins(job["without"])
        heartbeat.enter("loading data", patient=True)
        with dataset_errors(configuration):
            data = _source(configuration, registry, job["split"]).training()
        heartbeat.enter("building the components")
        check_buildable(configuration, registry, data)
        report = [
            *data.metadata["report"],
            *(data.split_metadata["report"] if data.split_metadata else ()),
            *(obstacles() if job["clustering"] else ()),
        ]
        return {"report": report, "devices": devices, "fingerprint": data.fingerprint}

    def _trial(self) -> dict[str, Any]:
        job = self.message
        trial = job["code"], job["seed"], job["split"]
        folder = TrialFolder(Path(job["out"]), job["entry_id"], *trial)
        try:
            folder.create()
            redirect(folder.log_file)
        except OSError as error:
            raise MachineTrouble(described(error)) from error
        heartbeat.enter("waiting for another run", patient=True)
        with folder.locked(wait=job["wait"]):
            return self._result(folder)

    def _result(self, folder: TrialFolder) -> dict[str, Any]:
        """What comes of a trial's folder, which this process holds."""
        from dmlbench.training.trial import run_validation, train_trial

        kind = self.message["kind"]
        if kind == "test" and folder.trained_file.exists():
            # A result that is there nonetheless was not written by a test.
            return self._tested(folder)
        read = folder.read_validation if kind == "validation" else folder.read_result
        if finished := read():  # such as by another run, meanwhile
            return finished.model_dump()
        if kind == "validation":
            return run_validation(*self._arguments(folder)).model_dump()
        failed = train_trial(*self._arguments(folder))
        return TRAINED if failed is None else failed.model_dump()

    def _tested(self, folder: TrialFolder) -> dict[str, Any]:
        """Test a trial. Nothing of a plugin is imported here, except that of the dataset."""
        import torch

        from dmlbench.training.trial import evaluate_trial

        job, configuration = self.message, self._configuration()
        # Which one it is the run has looked up: a GPU that is asked here cannot be used in a fork.
        device = torch.device(keep_only(job["device"], job.get("visible")))
        torch.set_num_threads(job["threads"])
        registry = LateRegistry(lambda: load_plugins(job["without"]))
        dataset = configuration.dataset.id.partition(":")[0]
        for_labels = LateRegistry(lambda: load_plugins(other_distributions(dataset)))
        split = job["split"]
        return evaluate_trial(
            configuration, job["seed"], registry, _source(configuration, registry, split), folder,
            device, self._emit, cluster=job["clustering"], keep=job["keep_weights"],
            scoring=_source(configuration, for_labels, split),
        ).model_dump()  # fmt: skip

    def _arguments(self, folder: TrialFolder) -> tuple[Any, ...]:
        """What the functions of `dmlbench.training.trial` have in common."""
        import torch

        from dmlbench.training.determinism import set_deterministic

        job = self.message
        device = keep_only(job["device"], job.get("visible"))  # before code of plugins is there
        configuration, registry = self._configuration(), load_plugins(job["without"])
        torch.set_num_threads(job["threads"])
        heartbeat.enter("loading data", patient=True)
        source = _source(configuration, registry, job["split"])
        source.training()
        heartbeat.enter("building the components")
        where = torch.device(found_device(device))
        set_deterministic(where, job.get("deterministic", True))
        return configuration, job["seed"], registry, source, folder, where, self._emit

    def _configuration(self) -> Configuration:
        return configuration_from_json(self.message["configuration"])


def _stage(kind: str, values: Mapping[str, Any]) -> str:
    """What a trial does once it has told this event, in words that follow "while"."""
    if kind == "epoch_finished":
        return f"training, after epoch {values['epoch']}"
    if kind == "refit_epoch_finished":
        return f"training on all classes, after epoch {values['epoch']}"
    if kind == "features_progress":
        return "waiting for features" if values.get("waiting") else "computing features"
    return "training"


def _log_line(values: Mapping[str, Any]) -> str:
    """What a trial's log says of an epoch."""
    score = values["validation_map_at_r"]
    validated = "" if score is None else f", validation MAP@R {score:.4f}"
    return f"epoch {values['epoch']}: objective {values['objective']:.5f}{validated}"


def _source(configuration: Configuration, registry: Any, split: int) -> DataSource:
    from dmlbench.training.data_source import DataSource

    return DataSource(configuration, registry, split)


def main() -> None:
    """Carry out a job in a process that was started for it, and end where the run has gone."""
    open_standard_streams()
    serve(int(sys.argv[1]), watched=True)


if __name__ == "__main__":
    main()
