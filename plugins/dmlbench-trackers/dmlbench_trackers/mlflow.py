"""MLflow: a run for each trial, in a local store or on a server."""

from __future__ import annotations

import os
import time

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from dmlbench.hookspecs import TrialEvent
from dmlbench_trackers.events import epoch_scalars, settings, test_scalars, trial_key, trial_name

_TAG = "dmlbench.trial"
# What MLflow takes at once, and of a value.
_MOST_PARAMS, _LONGEST = 100, 6000


class Tracker:
    """Keeps the id of each trial's run."""

    def __init__(self) -> None:
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or "mlruns")
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "dmlbench"
        experiment = self.client.get_experiment_by_name(name)
        self.experiment = (
            self.client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
        self.runs: dict[str, str] = {}
        self.epochs: dict[str, int] = {}

    def take(self, event: TrialEvent) -> None:
        if event.kind == "features_progress":
            return
        key = trial_key(event)
        run = self.runs.get(key) or self._open(event)
        if event.kind == "epoch_finished":
            self.epochs[key] = event.values["epoch"]
            self._log(run, epoch_scalars(event), self.epochs[key])
        elif event.kind == "trial_finished":
            self._log(run, test_scalars(event), self.epochs.get(key, 0))
            self._close(run, key, "FINISHED")
        elif event.kind == "trial_failed":
            self.client.set_tag(run, "dmlbench.reason", event.values["reason"][:_LONGEST])
            self._close(run, key, "FAILED")

    def _open(self, event: TrialEvent) -> str:
        """The run of a trial: one that was interrupted is resumed."""
        key = trial_key(event)
        found = self.client.search_runs(
            [self.experiment], f"tags.`{_TAG}` = '{key}' and attributes.status = 'RUNNING'"
        )
        if found:
            run = found[0].info.run_id
        else:
            tags = {_TAG: key, "mlflow.runName": trial_name(event)}
            run = self.client.create_run(self.experiment, tags=tags).info.run_id
            params = [Param(k, str(v)[:_LONGEST]) for k, v in settings(event).items()]
            for start in range(0, len(params), _MOST_PARAMS):
                self.client.log_batch(run, params=params[start : start + _MOST_PARAMS])
        self.runs[key] = run
        return run

    def _log(self, run: str, scalars, step: int) -> None:
        now = int(1000 * time.time())
        self.client.log_batch(run, [Metric(name, value, now, step) for name, value in scalars])

    def _close(self, run: str, key: str, status: str) -> None:
        self.client.set_terminated(run, status)
        self.runs.pop(key, None)
        self.epochs.pop(key, None)
