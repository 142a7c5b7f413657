"""Which code a configuration's numbers depend on."""

from __future__ import annotations

from dmlbench.plan.config import Configuration, sha256_of
from dmlbench.plugins.registry import Registry
from dmlbench.plugins.sources import source_sha256

#: The modules of dmlbench that decide the numbers, whatever the configuration.
CORE = ("dmlbench.training.train", "dmlbench.training.trial", "dmlbench.combiners.fixed")


def code_sha256(configuration: Configuration, registry: Registry) -> str:
    """Hash over all code that a configuration's numbers depend on."""
    return sha256_of([core_sha256(), *component_sources(configuration, registry).values()])


def core_sha256() -> str:
    """Hash over the code of dmlbench that every trial runs through."""
    return sha256_of([source_sha256(module) for module in CORE])


def component_sources(configuration: Configuration, registry: Registry) -> dict[str, str]:
    """Source hash of each component, by kind and id."""
    chosen = [("losses", loss) for loss in configuration.losses]
    chosen += [("combiners", configuration.combiner)] if configuration.combiner else []
    chosen += [("datasets", configuration.dataset), ("backbones", configuration.backbone)]
    return {
        f"{kind}/{component.id}": source_sha256(registry.resolve(kind, component.id).spec.target)
        for kind, component in chosen
    }
