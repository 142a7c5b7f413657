"""Tunes and trains what a study still lacks; what is there is not repeated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dmlbench.errors import UsageError
from dmlbench.plugins.registry import Registry
from dmlbench.running.jobs import Resources
from dmlbench.running.planning import Plan, make_plan
from dmlbench.running.tune import Watch, WatchEpochs, tune
from dmlbench.study.boards import StudyRow
from dmlbench.study.design import Study


def part_of(rows: Sequence[StudyRow], part: int, parts: int) -> list[StudyRow]:
    """The rows of one of several machines: every `parts`-th, from number `part` (1, 2, ...) on.

    Rows and not trials are divided, so each row is tuned in one place. Raises `UsageError`.
    """
    if not 1 <= part <= parts:
        raise UsageError(f"Part {part} of {parts} does not exist; the parts are 1 to {parts}.")
    return list(rows[part - 1 :: parts])


def tune_rows(
    study: Study,
    rows: Sequence[StudyRow],
    registry: Registry,
    resources: Resources,
    without: Sequence[str] = (),
    watch: Watch | None = None,
    watch_epochs: WatchEpochs | None = None,
) -> None:
    """Tune every row that the design says is tuned, on validation classes of class split 0.

    Raises as `dmlbench.running.tune.tune`.
    """
    settings = {row.setting.sha256: row.setting for row in rows if row.tuned}
    if settings:
        tune(
            list(settings.values()),
            registry,
            replace(resources, clustering=False),
            rows[0].request.out,
            budget=study.budget,
            without=without,
            watch=watch,
            watch_epochs=watch_epochs,
        )


def plan_rows(rows: Sequence[StudyRow], registry: Registry) -> list[Plan]:
    """The trials of rows, a plan for each dataset and replicate: split by split, seed by seed.

    Tuned rows take what `tune_rows` found. Raises `UsageError` where that is missing.
    """
    plans = []
    for place in dict.fromkeys((row.dataset, row.replicate) for row in rows):
        of_rows = [
            make_plan(replace(row.request, tuned=row.tuned), registry)
            for row in rows
            if (row.dataset, row.replicate) == place
        ]
        configurations = {c.entry_id: c for plan in of_rows for c in plan.configurations}
        trials = {(t.configuration.entry_id, t.key): t for plan in of_rows for t in plan.trials}
        ordered = sorted(trials.values(), key=lambda trial: trial.key)
        plans.append(Plan(of_rows[0].out, tuple(configurations.values()), tuple(ordered)))
    return plans
