"""What this package offers; read without importing torch."""

from __future__ import annotations

from dmlbench.hookspecs import DatasetSpec, LossSpec, hookimpl


@hookimpl
def dmlbench_datasets():
    return [
        DatasetSpec(
            name="tiny",
            target="dmlbench_tiny.tiles:Tiny",
            summary="Noisy tiles",
            defaults={"noise": 60.0, "classes": 24},
        )
    ]


@hookimpl
def dmlbench_losses():
    return [
        LossSpec(
            name="breaks",
            target="dmlbench_tiny.breaks:Breaks",
            summary="NaN at a step",
            defaults={"step": 3, "how": "nan"},
        )
    ]
