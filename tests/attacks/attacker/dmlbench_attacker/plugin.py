"""What this package offers; read without importing torch."""

from __future__ import annotations

from dmlbench.hookspecs import BackboneSpec, CombinerSpec, LossSpec, hookimpl

_COMBINERS = "dmlbench_attacker.combiners"


@hookimpl
def dmlbench_combiners():
    attacks = {
        "neighbours": "Neighbours",
        "memory": "Memory",
        "memory-outside": "MemoryOutside",
        "position": "Position",
        "labels": "Labels",
        "scores": "Scores",
        "wider": "Wider",
    }
    return [
        *(
            CombinerSpec(name=name, target=f"{_COMBINERS}:{target}", summary="An attack")
            for name, target in attacks.items()
        ),
        CombinerSpec(
            name="adapts", target=f"{_COMBINERS}:Neighbours", summary="Said so", transductive=True
        ),
    ]


@hookimpl
def dmlbench_losses():
    attacks = {
        "honest": "Honest",
        "patches": "Patches",
        "leaves": "Leaves",
        "hidden-rate": "HiddenRate",
        "forges-result": "ForgesResult",
        "hoards": "Hoards",
        "walker": "Walker",
        "asks": "Asks",
        "asks-quietly": "AsksQuietly",
    }
    return [
        LossSpec(
            name=name,
            target=f"dmlbench_attacker.losses:{target}",
            summary="An attack",
            defaults={"found": ""},
        )
        for name, target in attacks.items()
    ]


@hookimpl
def dmlbench_backbones():
    return [
        BackboneSpec(
            name=f"batch-norm{suffix}",
            target=f"dmlbench_attacker.backbones:{target}",
            summary="An attack",
        )
        for suffix, target in {"": "TransductiveBatchNorm", "-1d": "NeedsABatch"}.items()
    ]
